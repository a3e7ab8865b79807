"""Errors of depth maps."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric, ratio
from mtl.registry import METRICS
from mtl.tasks.depth import NEAREST

_FILLED = 255.0  # the published data sets fill unknown depth with this


@METRICS.register_module()
class DepthMetric(AdditiveMetric):
    """``rmse`` (headline, metres) and the other errors of Eigen et al. (NeurIPS 2014), over all valid pixels.

    ``abs_rel`` is the mean of ``|p - g| / g``, ``sq_rel`` (metres) of ``(p - g)^2 / g``, ``log_rmse`` the root of the
    mean of ``(ln p - ln g)^2``, ``delta1..3`` the percentages with ``max(p / g, g / p) < 1.25^k``. For ``log_rmse``
    and ``delta`` predictions are taken as at least a millimetre.

    Valid is a label that is finite, above 0 and not 255.
    """

    def zeros(self) -> dict[str, Tensor]:
        return {
            'pixels': torch.zeros((), dtype=torch.int64),
            'errors': torch.zeros(4, dtype=torch.float64),
            'within': torch.zeros(3, dtype=torch.int64),
            'moments': torch.zeros(2, dtype=torch.float64),
        }

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.task.valid(target) & (target != _FILLED)
        truth = target.double().where(valid, 1.0)
        guess = prediction.double().where(valid, 1.0)  # 1 against 1: no error, and no infinity from outside
        error, near = guess - truth, guess.clamp(min=NEAREST)
        errors = [error.square(), error.abs() / truth, error.square() / truth, (near / truth).log().square()]
        factor = torch.maximum(near / truth, truth / near)
        known = truth * valid
        return {
            'pixels': valid.sum(),
            'errors': torch.stack([values.sum() for values in errors]),
            'within': torch.stack([((factor < 1.25**k) & valid).sum() for k in (1, 2, 3)]),
            'moments': torch.stack([known.sum(), known.square().sum()]),
        }

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        square, absolute, square_relative, log_square = ratio(totals['errors'], totals['pixels'])
        result = {
            'rmse': square.sqrt(),
            'abs_rel': absolute,
            'sq_rel': square_relative,
            'log_rmse': log_square.sqrt(),
        }
        shares = 100 * ratio(totals['within'], totals['pixels'])
        return result | {f'delta{k}': share for k, share in enumerate(shares, 1)}

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """The mean depth is the constant of least square error, which then is the variance."""
        mean, square = ratio(totals['moments'], totals['pixels'])
        return float((square - mean.square()).clamp(min=0).sqrt())
