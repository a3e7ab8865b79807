"""Surface normals."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mtl.files import unit_normals
from mtl.losses import normals_l1, unit_vectors
from mtl.registry import TASKS
from mtl.structures import Affine
from mtl.tasks.base import Task, as_numpy
from mtl.tasks.legends import PictureLegend


@TASKS.register_module()
class SurfaceNormals(Task):
    """Unit vectors in camera coordinates: x to the right, y down, z towards the camera.

    Labels and predictions are ``[3, H, W]`` float32 (``[H, W, 3]`` before packing); the zero vector is unknown.
    """

    default_loss_weight = 10.0
    out_channels = 3
    headline = 'mErr'
    lower_is_better = True
    unit = 'deg'
    ignore_value = 0.0

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return normals_l1(logits, target)

    def predict(self, logits: Tensor) -> Tensor:
        return unit_vectors(logits.float(), dim=1)

    def transform_target(self, target: np.ndarray, affine: Affine) -> np.ndarray:
        """Directions turn with the image plane: ``n_xy <- Q n_xy`` with the orthogonal part ``Q`` of the move."""
        moved = super().transform_target(target, affine)
        if np.array_equal(affine.rotation, np.eye(2)):
            return moved
        turned = moved.copy()
        turned[..., :2] = moved[..., :2] @ affine.rotation.T.astype(moved.dtype)
        return turned

    def unflip_logits(self, logits: Tensor) -> Tensor:
        return super().unflip_logits(logits) * logits.new_tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)

    def valid(self, target: Tensor) -> Tensor:
        return (target != 0).any(dim=-3)

    def no_labels(self, logits: Tensor) -> Tensor:
        return logits.new_zeros((0, 3, *logits.shape[2:]))

    def from_stored(self, values: np.ndarray) -> np.ndarray:
        """Unit vectors ``[H, W, 3]`` float32 from bytes or floats; what is not finite becomes zero, unknown."""
        if values.ndim == 3 and values.shape[0] == 3 and values.shape[2] != 3:
            values = values.transpose(1, 2, 0)
        if values.ndim != 3 or values.shape[2] != 3:
            raise ValueError(f'normals are three numbers per pixel; found an array of shape {list(values.shape)}')
        if values.dtype == np.uint8:
            return unit_normals(values)
        if values.dtype.kind != 'f':
            raise ValueError(f'normals are bytes (n = 2 v / 255 - 1) or floats; found {values.dtype}')
        known = np.isfinite(values).all(axis=2, keepdims=True)
        return np.where(known, values, 0).astype(np.float32)

    def fault(self, target: np.ndarray) -> str | None:
        if target.ndim != 3 or target.shape[2] != 3 or target.dtype != np.float32:
            return f'must be [H, W, 3] float32; found {list(target.shape)} {target.dtype}'
        squared = np.einsum('hwc,hwc->hw', target, target)
        squared = np.where(np.isfinite(squared), squared, 0)
        wrong = (squared != 0) & ~(np.abs(squared - 1) < 1e-3)
        return f'must hold unit or zero vectors; {wrong.sum()} are neither' if wrong.any() else None

    def draw(self, values: Tensor | np.ndarray) -> np.ndarray:
        normals = as_numpy(values).astype(np.float32).transpose(1, 2, 0)
        picture = ((normals + 1.0) * 127.5).round().clip(0, 255).astype(np.uint8)
        picture[~normals.any(axis=2)] = 0
        return picture

    def legend(self, values: Tensor | np.ndarray) -> PictureLegend:
        """A ball: each of its points has the colour of its normal."""
        y, x = np.mgrid[-1:1:48j, -1:1:48j].astype(np.float32)
        squared = x**2 + y**2
        ball = np.stack([x, y, np.sqrt((1 - squared).clip(0))]) * (squared <= 1)
        picture = self.draw(ball)
        picture[squared > 1] = 255
        return PictureLegend(picture, ('colour of a normal', 'on a ball'))

    def metric(self) -> dict:
        return dict(type='NormalsMetric')
