"""What a run writes to its log and to TensorBoard."""

from __future__ import annotations

import resource

from mmengine.runner import LogProcessor

from mtl.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class MultiTaskLogProcessor(LogProcessor):
    """MMEngine's log lines, with groups for several tasks.

    - ``loss/<task>`` is the mean over the iterations since the last line that had a label for the task, and is absent
      if none had. (MMEngine averages a fixed number of values, however old.)
    - ``metric/<task>/<name>`` are the results of an evaluation, ``width/<width>/<task>/<name>`` those of a slimmable
      model at further widths.
    - ``memory`` in MB: the most that tensors took on the GPU, or, without one, that the process took.

    Args:
        mean_pattern: what is averaged over the window; by default not the results of evaluations, such as
            ``edge/loss``, whatever their names.
        kwargs: see ``mmengine.runner.LogProcessor``.
    """

    def __init__(
        self,
        mean_pattern: str = r'^((train|val|test)/)?(width/[^/]+/)?(loss|distillation|time|data_time|grad_norm)',
        **kwargs,
    ) -> None:
        super().__init__(mean_pattern=mean_pattern, **kwargs)

    def get_log_after_iter(self, runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """See the base class. Afterwards the losses of the tasks start anew."""
        tag, line = super().get_log_after_iter(runner, batch_idx, mode)
        for key in _task_losses(runner, mode):
            del runner.message_hub.log_scalars[key]
            runner.message_hub._resumed_keys.pop(key)  # or resuming would warn that the key has no values
        if 'memory' not in tag:
            tag['memory'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts in KiB
            line += f'  memory: {tag["memory"]}'
        return tag, line

    def get_log_after_epoch(self, runner, batch_idx: int, mode: str, with_non_scalar: bool = False) -> tuple[dict, str]:
        """See the base class."""
        tag, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        return {f'metric/{key}' if _is_metric(key) else key: value for key, value in tag.items()}, line

    def _collect_scalars(self, custom_cfg: list[dict], runner, mode: str, reserve_prefix: bool = False) -> dict:
        tag = super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)
        for key in _task_losses(runner, mode):
            tag[key if reserve_prefix else key.removeprefix(f'{mode}/')] = runner.message_hub.log_scalars[key].mean()
        return tag


def _task_losses(runner, mode: str) -> list[str]:
    return [key for key in runner.message_hub.log_scalars if key.startswith(f'{mode}/loss/')]


def _is_metric(key: str) -> bool:
    return not key.startswith('width/') and key not in ('time', 'data_time', 'epoch', 'iter', 'step', 'memory')
