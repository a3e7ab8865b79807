"""Depth in metres."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from mtl.files import one_channel
from mtl.losses import masked_l1
from mtl.registry import TASKS
from mtl.structures import Affine
from mtl.tasks.base import Task, as_numpy
from mtl.tasks.legends import ScaleLegend

NEAREST = 1e-3  # metres, the least that is predicted


@TASKS.register_module()
class Depth(Task):
    """Distance along the optical axis, ``[H, W]`` float32 metres; 0 is unknown, and so is what is not finite.

    Args:
        max_depth: metres drawn as the far end of the colour scale.
        loss_weight: see :class:`Task`.
    """

    out_channels = 1
    headline = 'rmse'
    lower_is_better = True
    unit = 'm'
    ignore_value = 0.0

    def __init__(self, max_depth: float = 10.0, loss_weight: float | None = None) -> None:
        super().__init__(loss_weight)
        self.max_depth = max_depth

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return masked_l1(logits.squeeze(1), target, valid=self.valid(target))

    def predict(self, logits: Tensor) -> Tensor:
        return logits.float().squeeze(1).clamp(min=NEAREST)  # 0 would mean unknown

    def transform_target(self, target: np.ndarray, affine: Affine) -> np.ndarray:
        """Zooming in by ``z`` makes everything appear ``z`` times nearer."""
        return super().transform_target(target, affine) / np.float32(affine.zoom)

    def valid(self, target: Tensor) -> Tensor:
        return (target > 0) & torch.isfinite(target)

    def from_stored(self, values: np.ndarray) -> np.ndarray:
        """Metres ``[H, W]`` float32; what is not finite becomes 0, unknown."""
        values = one_channel(values)
        if values.ndim != 2:
            raise ValueError(f'depth is one number per pixel; found an array of shape {list(values.shape)}')
        return np.where(np.isfinite(values), values, 0).astype(np.float32)

    def fault(self, target: np.ndarray) -> str | None:
        if target.ndim != 2 or target.dtype != np.float32:
            return f'must be [H, W] float32; found {list(target.shape)} {target.dtype}'
        finite = target[np.isfinite(target)]
        if finite.size and finite.min() < 0:
            return f'must not be negative (0 is unknown); found {finite.min():g} m'
        if finite.size and (largest := finite.max()) > 1000:
            return f'must be in metres; the largest value, {largest:g}, looks like millimetres'
        return None

    def draw(self, values: Tensor | np.ndarray) -> np.ndarray:
        """Viridis, near is light: equal steps of metres are steps of equal lightness, readable without colour vision.

        The scale is the task's (:attr:`max_depth`), not the picture's, so pictures and video frames compare. OpenCV's
        table is matplotlib's to a rounding (tested), without another dependency.
        """
        depth = as_numpy(values).astype(np.float32)
        known = (depth > 0) & np.isfinite(depth)
        nearness = 255 - (np.where(known, depth, 0) / self.max_depth * 255).clip(0, 255).round().astype(np.uint8)
        picture = cv2.cvtColor(cv2.applyColorMap(nearness, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
        picture[~known] = 0
        return picture

    def legend(self, values: Tensor | np.ndarray) -> ScaleLegend:
        metres = np.linspace(0, self.max_depth, 256, dtype=np.float32)
        metres[0] = np.finfo(np.float32).tiny  # 0 is unknown
        colours = self.draw(metres[None])[0]
        return ScaleLegend(colours, 0.0, self.max_depth, 'm', beyond=bool((as_numpy(values) > self.max_depth).any()))

    def metric(self) -> dict:
        return dict(type='DepthMetric')
