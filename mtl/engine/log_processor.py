"""What a run writes to its log and to TensorBoard."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from mmengine.runner import LogProcessor

from mtl.registry import LOG_PROCESSORS


@LOG_PROCESSORS.register_module()
class MultiTaskLogProcessor(LogProcessor):
    """Log lines that fit a terminal, and numbers in groups for several tasks.

    A line has the place in the run, learning rate, time left, seconds per step and the total loss. All numbers go to
    TensorBoard and to ``<work dir>/<time>/vis_data/scalars.json``:

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
        line = _short(line, tag, runner.message_hub.runtime_info.get('eta'))
        for key in _task_losses(runner, mode):
            del runner.message_hub.log_scalars[key]
            runner.message_hub._resumed_keys.pop(key)  # or resuming would warn that the key has no values
        if 'memory' not in tag:
            tag['memory'] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # Linux counts in KiB
        return tag, line

    def get_log_after_epoch(self, runner, batch_idx: int, mode: str, with_non_scalar: bool = False) -> tuple[dict, str]:
        """See the base class. The line leaves out the metrics, which the evaluator prints as a table."""
        tag, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        line = _short(line, tag, eta=None)
        return {f'metric/{key}' if _is_metric(key) else key: value for key, value in tag.items()}, line

    def _collect_scalars(self, custom_cfg: list[dict], runner, mode: str, reserve_prefix: bool = False) -> dict:
        tag = super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)
        for key in _task_losses(runner, mode):
            tag[key if reserve_prefix else key.removeprefix(f'{mode}/')] = runner.message_hub.log_scalars[key].mean()
        return tag


def _short(line: str, tag: Mapping[str, float], eta: float | None) -> str:
    """The place in the run that ``line`` begins with, and what a person watches."""
    parts = [line[: line.index(']  ') + 1] if ']  ' in line else line]
    values = {key.removeprefix('train/').removeprefix('val/'): value for key, value in tag.items()}
    if 'lr' in values:
        parts.append(f'lr: {values["lr"]:.2e}')
    if eta is not None:
        minutes, seconds = divmod(int(eta), 60)
        parts.append(f'eta: {minutes // 60}:{minutes % 60:02}:{seconds:02}')
    if 'time' in values:
        parts.append(f'time: {values["time"]:.3f}')
    if 'loss' in values:
        parts.append(f'loss: {values["loss"]:.4f}')
    return '  '.join(parts)


def _task_losses(runner, mode: str) -> list[str]:
    return [key for key in runner.message_hub.log_scalars if key.startswith(f'{mode}/loss/')]


def _is_metric(key: str) -> bool:
    return not key.startswith('width/') and key not in ('time', 'data_time', 'epoch', 'iter', 'step', 'memory')
