"""Semantic segmentation: one class a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mtl.losses import cross_entropy
from mtl.registry import TASKS
from mtl.tasks.base import Task, as_numpy, class_fault
from mtl.tasks.classes import ClassSet, resolve_classes


@TASKS.register_module()
class SemanticSegmentation(Task):
    """One class id a pixel; labels and predictions are ``[H, W]`` uint8, 255 unknown.

    Args:
        classes: name of a class set (``mtl.tasks.CLASS_SETS``) or a list of class names; defines ``out_channels``.
        loss_weight: see :class:`Task`.
    """

    headline = 'mIoU'
    unit = '%'
    default_classes: str | None = None

    def __init__(self, classes: str | Sequence[str] | None = None, loss_weight: float | None = None) -> None:
        super().__init__(loss_weight)
        classes = self.default_classes if classes is None else classes
        if classes is None:
            raise ValueError('SemanticSegmentation needs `classes`: the name of a class set or a list of names.')
        self.classes: ClassSet = resolve_classes(classes)
        self.out_channels = len(self.classes.names)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(logits, target, ignore_index=self.ignore_value)

    def predict(self, logits: Tensor) -> Tensor:
        return logits.argmax(dim=1).byte()

    def fault(self, target: np.ndarray) -> str | None:
        return class_fault(target, self.out_channels, self.ignore_value)

    def draw(self, values: Tensor | np.ndarray) -> np.ndarray:
        lookup = np.zeros((256, 3), np.uint8)
        lookup[: self.out_channels] = self.classes.palette
        return lookup[as_numpy(values).astype(np.uint8)]

    def metric(self) -> dict:
        return dict(type='SegmentationMetric')
