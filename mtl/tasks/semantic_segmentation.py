"""Semantic segmentation: one class per pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from mtl.losses import cross_entropy
from mtl.registry import TASKS
from mtl.tasks.base import Task, as_numpy, blend, class_fault
from mtl.tasks.classes import ClassSet, recoloured, resolve_classes
from mtl.tasks.legends import ClassLegend


@TASKS.register_module()
class SemanticSegmentation(Task):
    """One class id a pixel; labels and predictions are ``[H, W]`` uint8, 255 unknown.

    Args:
        classes: name of a class set (``mtl.tasks.CLASS_SETS``) or a list of class names; defines ``out_channels``.
        loss_weight: see :class:`Task`.
        palette: other colours, see :func:`mtl.tasks.classes.recoloured`, e.g. ``'colour_blind_safe'``.
    """

    headline = 'mIoU'
    unit = '%'
    default_classes: str | None = None

    def __init__(
        self,
        classes: str | Sequence[str] | None = None,
        loss_weight: float | None = None,
        palette: str | Sequence | None = None,
    ) -> None:
        super().__init__(loss_weight)
        classes = self.default_classes if classes is None else classes
        if classes is None:
            raise ValueError('SemanticSegmentation needs `classes`: the name of a class set or a list of names.')
        self.classes: ClassSet = resolve_classes(classes)
        if palette is not None:
            self.classes = recoloured(self.classes, palette)
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

    def overlay(self, image: np.ndarray, values: Tensor | np.ndarray, opacity: float) -> np.ndarray:
        """Classes tint the image; background and unknown, which are black, darken it less than classes tint it."""
        ids = as_numpy(values)
        classes = ids < self.out_channels
        if 'background' in self.classes.names:
            classes &= ids != self.classes.names.index('background')
        return blend(image, self.draw(ids), np.where(classes, opacity, opacity**3))

    def legend(self, values: Tensor | np.ndarray) -> ClassLegend:
        """The classes that occur, the largest first."""
        areas = np.bincount(as_numpy(values).astype(np.uint8).ravel(), minlength=256)[: self.out_channels]
        order = [index for index in np.argsort(-areas, kind='stable') if areas[index]]
        return ClassLegend(tuple(self.classes.names[index] for index in order), self.classes.palette[order])

    def metric(self) -> dict:
        return dict(type='SegmentationMetric')
