"""Angles between predicted and true surface normals."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric, histogram, ratio
from mtl.losses import unit_vectors
from mtl.registry import METRICS

_BINS_PER_DEGREE = 100
_GRID = 64  # cells a side of the octahedral map: about 2 degrees each


@METRICS.register_module()
class NormalsMetric(AdditiveMetric):
    """Statistics of the angle between unit vectors over all valid pixels, in degrees.

    ``mErr`` (headline) is the mean angle. Tables of multi-task papers on PASCAL-Context call this number "rmse"; the
    root of the mean square is ``rmse`` here. ``median`` is read from a histogram of 0.01 degrees a bin. ``11.25``,
    ``22.5`` and ``30`` are the percentages of pixels with a smaller angle. Predictions and labels are normalised
    first; a zero label vector is unknown.
    """

    thresholds = (11.25, 22.5, 30.0)

    def zeros(self) -> dict[str, Tensor]:
        return {
            'pixels': torch.zeros((), dtype=torch.int64),
            'sums': torch.zeros(2, dtype=torch.float64),
            'below': torch.zeros(len(self.thresholds), dtype=torch.int64),
            'angles': torch.zeros(180 * _BINS_PER_DEGREE, dtype=torch.int64),
            'directions': torch.zeros(_GRID * _GRID, dtype=torch.int64),
        }

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.task.valid(target)
        truth = unit_vectors(target.float(), dim=0)
        angle = angle_between(unit_vectors(prediction.float(), dim=0), truth).where(valid, 0.0)
        known = valid.long()
        bins = (angle.nan_to_num(0.0) * _BINS_PER_DEGREE).long().clamp(max=180 * _BINS_PER_DEGREE - 1)
        return {
            'pixels': known.sum(),
            'sums': torch.stack([angle.sum(dtype=torch.float64), angle.square().sum(dtype=torch.float64)]),
            'below': torch.stack([((angle < limit) & valid).sum() for limit in self.thresholds]),
            'angles': histogram(bins, known, 180 * _BINS_PER_DEGREE),
            'directions': histogram(octahedral_cell(truth), known, _GRID * _GRID),
        }

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        pixels = totals['pixels']
        mean, square = ratio(totals['sums'], pixels)
        result = {'mErr': mean, 'rmse': square.sqrt(), 'median': self._median(totals['angles'])}
        shares = 100 * ratio(totals['below'], pixels)
        return result | {f'{limit:g}': share for limit, share in zip(self.thresholds, shares, strict=True)}

    @staticmethod
    def _median(angles: Tensor) -> Tensor:
        """Middle of the bin that holds the lower median."""
        middle = torch.searchsorted(angles.cumsum(0), (angles.sum() + 1) // 2)
        return ratio(middle.double() + 0.5, _BINS_PER_DEGREE)

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """The best single direction, sought among the cells of the sphere that hold a label (2 degrees each)."""
        counts = totals['directions']
        filled = counts.nonzero().squeeze(1)
        if len(filled) == 0:
            return float('nan')
        centres = cell_centres()[filled]
        angles = torch.rad2deg(torch.acos((centres @ centres.T).clamp(-1, 1)))
        return float((angles @ counts[filled].double()).min() / counts.sum())


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Degrees ``[H, W]`` between unit vectors ``[3, H, W]``; accurate for small and for large angles alike.

    ``2 atan2(|a - b|, |a + b|)``, Kahan, "How futile are mindless assessments of roundoff", 2006.
    """
    difference, total = (vectors.square().sum(0).sqrt() for vectors in (a - b, a + b))
    return torch.rad2deg(2 * torch.atan2(difference, total))


def octahedral_cell(vectors: Tensor) -> Tensor:
    """Cell index ``[H, W]`` of unit vectors ``[3, H, W]`` on a square grid over the sphere (octahedral map)."""
    x, y, z = vectors / vectors.abs().sum(dim=0).clamp(min=1e-12)
    # the half with z < 0 is folded over the diagonals into the corners of the square
    u = torch.where(z < 0, (1 - y.abs()) * _sign(x), x)
    v = torch.where(z < 0, (1 - x.abs()) * _sign(y), y)
    row, column = (((value + 1) * (_GRID / 2)).long().clamp(0, _GRID - 1) for value in (v, u))
    return row * _GRID + column


def cell_centres() -> Tensor:
    """Unit vectors ``[cells, 3]`` float64 at the centres of the cells of :func:`octahedral_cell`."""
    side = (torch.arange(_GRID, dtype=torch.float64) + 0.5) / (_GRID / 2) - 1
    v, u = torch.meshgrid(side, side, indexing='ij')
    z = 1 - u.abs() - v.abs()
    x = torch.where(z < 0, (1 - v.abs()) * _sign(u), u)
    y = torch.where(z < 0, (1 - u.abs()) * _sign(v), v)
    return unit_vectors(torch.stack([x, y, z], dim=-1).view(-1, 3), dim=1)


def _sign(values: Tensor) -> Tensor:
    return torch.where(values < 0, -1.0, 1.0).to(values)
