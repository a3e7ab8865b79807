"""Saliency: how much a pixel belongs to what a person looks at first."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mtl.losses import balanced_binary_cross_entropy
from mtl.registry import TASKS
from mtl.tasks.base import Task, as_numpy, class_fault
from mtl.tasks.legends import ScaleLegend


@TASKS.register_module()
class Saliency(Task):
    """Labels ``[H, W]`` uint8 (1 salient, 0 not, 255 unknown); predictions ``[H, W]`` float probabilities.

    Args:
        pos_weight: fixed weight of the positives in the balanced cross entropy; ``None`` balances by their share.
        loss_weight: see :class:`Task`.
    """

    default_loss_weight = 5.0
    out_channels = 1
    headline = 'maxF'
    unit = '%'

    def __init__(self, pos_weight: float | None = None, loss_weight: float | None = None) -> None:
        super().__init__(loss_weight)
        self.pos_weight = pos_weight

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return balanced_binary_cross_entropy(logits, target, self.pos_weight, ignore_index=self.ignore_value)

    def predict(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid().squeeze(1)

    def fault(self, target: np.ndarray) -> str | None:
        return class_fault(target, 2, self.ignore_value)

    def draw(self, values: Tensor | np.ndarray) -> np.ndarray:
        values = as_numpy(values).astype(np.float32)
        grey = np.where(values == self.ignore_value, 0.0, values).clip(0.0, 1.0)
        return np.repeat((grey * 255).round().astype(np.uint8)[..., None], 3, axis=2)

    def overlay(self, image: np.ndarray, values: Tensor | np.ndarray, opacity: float) -> np.ndarray:
        """What is not salient is dimmed."""
        light = 1 - opacity * (1 - self.draw(values) / np.float32(255))
        return (image * light).round().astype(np.uint8)

    def legend(self, values: Tensor | np.ndarray) -> ScaleLegend:
        return ScaleLegend(self.draw(np.linspace(0, 1, 256)[None])[0], 0.0, 1.0)

    def metric(self) -> dict:
        return dict(type='SaliencyMetric')
