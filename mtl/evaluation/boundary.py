"""The metric of the boundary task."""

from __future__ import annotations

from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric
from mtl.evaluation.boundary_fast import balanced_loss, fast_counts, fast_f, fast_f_of_ones, fast_zeros
from mtl.registry import METRICS


@METRICS.register_module()
class BoundaryMetric(AdditiveMetric):
    """Boundaries against a thin binary label.

    ``mode='fast'`` is for watching a training run: ``fastF`` (headline), F in percent at threshold 0.5 where a pixel
    is right if a pixel of the other map lies within ``max_dist`` of the diagonal, without thinning and without
    one-to-one matching, and ``loss``, the balanced cross entropy. Neither is comparable with published odsF.
    ``mode='off'`` computes nothing.

    Args:
        task: the boundary task.
        mode: ``'fast'`` or ``'off'``.
        max_dist: tolerance as a share of the image diagonal: 0.0075 for PASCAL-Context and BSDS, 0.011 for NYUD-v2.
        prefix: see :class:`AdditiveMetric`.
    """

    def __init__(self, task, mode: str = 'fast', max_dist: float = 0.0075, prefix: str | None = None) -> None:
        super().__init__(task, prefix)
        if mode not in ('fast', 'off'):
            raise ValueError(f"mode must be 'fast' or 'off'; found {mode!r} for task {self.task.name!r}.")
        self.mode = mode
        self.max_dist = max_dist

    @property
    def headline(self) -> str:
        return 'fastF'

    @property
    def variant(self) -> dict[str, object]:
        return {'mode': self.mode, 'max_dist': self.max_dist}

    def zeros(self) -> dict[str, Tensor]:
        return fast_zeros()

    def process(self, data_batch, data_samples) -> None:
        if self.mode != 'off':
            super().process(data_batch, data_samples)

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        probability = prediction.float().nan_to_num(0.0)
        return fast_counts(probability, target == 1, self.task.valid(target), self.max_dist)

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        return {'fastF': fast_f(totals), 'loss': balanced_loss(totals, self.task.pos_weight)}

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Boundaries everywhere."""
        return fast_f_of_ones(totals)
