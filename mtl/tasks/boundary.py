"""Boundaries between regions."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mtl.registry import TASKS
from mtl.tasks.base import blend
from mtl.tasks.saliency import Saliency


@TASKS.register_module()
class Boundary(Saliency):
    """A binary map like saliency, but thin: labels ``[H, W]`` uint8 (1 boundary, 0 not, 255 unknown).

    Args:
        pos_weight: fixed weight of the positives, 0.95 as is usual for boundaries.
        loss_weight: see :class:`Task`.
    """

    default_loss_weight = 50.0
    headline = 'odsF'

    def __init__(self, pos_weight: float | None = 0.95, loss_weight: float | None = None) -> None:
        super().__init__(pos_weight, loss_weight)

    def overlay(self, image: np.ndarray, values: Tensor | np.ndarray, opacity: float) -> np.ndarray:
        """Light lines on a dimmed image."""
        return blend(image, self.draw(values), opacity)

    def metric(self) -> dict:
        return dict(type='BoundaryMetric')
