"""What a run does when it stops making sense: it says where, and then it stops."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor

from mtl.checkpoints.finite import NotFiniteError
from mtl.engine.optim.wrappers import AmpOptimWrapper
from mtl.engine.unwrapping import unwrapped
from mtl.registry import HOOKS


@HOOKS.register_module()
class FiniteHook(Hook):
    """Name the steps whose loss or gradient is not finite, and stop after a few; the optimizer wrapper leaves them out.

    Running statistics of norms, which the forward pass has changed, are put back.

    Args:
        patience: such steps in a row before the run stops. With mixed precision 20 more, in which its scale comes down.

    Raises:
        NotFiniteError: more steps in a row than ``patience``.
    """

    priority = 'VERY_HIGH'  # before an average of weights or statistics is taken

    def __init__(self, patience: int = 5) -> None:
        if patience < 1:
            raise ValueError(f'patience is at least 1; found {patience}.')
        self.patience = patience
        self._in_a_row = 0
        self._statistics: list[Tensor] = []
        self._kept: list[Tensor] = []

    def before_train(self, runner) -> None:
        """Know the statistics by heart."""
        model = unwrapped(runner.model)
        self._statistics = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._kept = [buffer.clone() for buffer in self._statistics]

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Keep the statistics."""
        if self._kept:
            torch._foreach_copy_(self._kept, self._statistics)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Name the step, if it was left out."""
        wrong = _not_finite(outputs or {})
        # a wrapper of one's own need not count what it leaves out
        if not wrong and not getattr(runner.optim_wrapper, 'skipped', 0):
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._kept:
            torch._foreach_copy_(self._statistics, self._kept)
        mixed = isinstance(runner.optim_wrapper, AmpOptimWrapper)
        message = (
            f'Iteration {runner.iter + 1}: {_tasks(wrong) or "the gradient"} is not finite. The step was left out. '
            f'Images: {_files(data_batch)}.'
        )
        if self._in_a_row < self.patience + (20 if mixed else 0):
            print_log(message, 'current', logging.WARNING)
            return
        raise NotFiniteError(
            f'{message} These were {self._in_a_row} steps in a row: the run stops, and its checkpoints stay as they '
            'are. Look at these images and their labels, or lower the rate (optim_wrapper.optimizer.lr).'
        )


def _not_finite(losses: Mapping[str, Tensor]) -> list[str]:
    """Names of the losses that are inf or NaN; read back from a GPU once, not once for each."""
    if not losses:
        return []
    values = [torch.as_tensor(value).detach().float().reshape(()) for value in losses.values()]
    finite = torch.isfinite(torch.stack(values)).tolist()
    return [name for name, known in zip(losses, finite, strict=True) if not known]


def _tasks(wrong: list[str]) -> str:
    """The tasks whose losses are wrong, as the subject of a sentence."""
    tasks = [name.split('loss/', 1)[1] for name in wrong if 'loss/' in name]
    return f'the loss of {", ".join(tasks)}' if tasks else 'the loss' if wrong else ''


def _files(data_batch) -> str:
    samples = data_batch.get('data_samples', ()) if isinstance(data_batch, dict) else ()
    paths = [str(sample.get('img_path', sample.get('sample_id', '?'))) for sample in samples]
    return ', '.join(paths) or 'not known'
