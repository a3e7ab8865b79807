"""Intersection over union of class maps."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric, histogram, ratio
from mtl.registry import METRICS


@METRICS.register_module()
class SegmentationMetric(AdditiveMetric):
    """``mIoU`` (headline), ``mAcc`` and ``pixel_acc`` in percent, from one confusion matrix over all valid pixels.

    A predicted value outside the class set (another codebase's 255, say) is a wrong prediction of no class.

    Args:
        task: a segmentation task; its classes are the matrix's.
        absent: what a class that occurs in neither labels nor predictions contributes to the means: ``'skip'``
            nothing, ``'zero'`` an IoU of 0 as in the published MTLoRA code.
        per_class: also return ``IoU/<class>``.
        prefix: see :class:`AdditiveMetric`.
    """

    def __init__(self, task, absent: str = 'skip', per_class: bool = False, prefix: str | None = None) -> None:
        super().__init__(task, prefix)
        if absent not in ('skip', 'zero'):
            raise ValueError(f"absent must be 'skip' or 'zero'; found {absent!r} for task {self.task.name!r}.")
        self.absent = absent
        self.per_class = per_class
        self.num_classes = self.task.out_channels

    @property
    def variant(self) -> dict[str, object]:
        return {'absent': self.absent}

    def zeros(self) -> dict[str, Tensor]:
        size = (self.num_classes + 1) ** 2  # one more row and column: values outside the class set
        return {'confusion': torch.zeros(size, dtype=torch.int64), 'pixels': torch.zeros((), dtype=torch.int64)}

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        outside = self.num_classes
        valid = self.task.valid(target).long()
        cell = target.long().clamp(max=outside) * (outside + 1) + prediction.long().clamp(max=outside)
        return {'confusion': histogram(cell, valid, (outside + 1) ** 2), 'pixels': valid.sum()}

    def _confusion(self, totals: dict[str, Tensor]) -> Tensor:
        confusion = totals['confusion'].view(self.num_classes + 1, -1)
        if confusion[-1].sum() > 0:
            raise ValueError(
                f'Task {self.task.name!r}: {int(confusion[-1].sum())} label pixels are neither one of the '
                f'{self.num_classes} classes nor {self.task.ignore_value} (unknown). Check the class set in the config.'
            )
        return confusion[:-1]

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        confusion = self._confusion(totals)
        hits, labelled = confusion.diagonal(), confusion.sum(1)
        union = labelled + confusion[:, :-1].sum(0) - hits
        iou, accuracy = ratio(hits, union), ratio(hits, labelled)
        if self.absent == 'zero':
            iou, accuracy = iou.nan_to_num(0.0), accuracy.nan_to_num(0.0)
        result = {
            'mIoU': 100 * iou.nanmean(),
            'mAcc': 100 * accuracy.nanmean(),
            'pixel_acc': 100 * ratio(hits.sum(), labelled.sum()),
        }
        if self.per_class:
            names = self.task.classes.names
            result |= {f'IoU/{name}': 100 * value for name, value in zip(names, iou, strict=True)}
        return result

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Predicting the most frequent class ``k`` everywhere scores ``n_k / N`` for it and 0 for all others."""
        labelled = self._confusion(totals).sum(1)
        classes = self.num_classes if self.absent == 'zero' else (labelled > 0).sum()
        return float(100 * ratio(labelled.max(), labelled.sum()) / classes)
