"""F-measure and intersection over union of probability maps over many thresholds."""

from __future__ import annotations

import torch
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric, histogram, ratio
from mtl.evaluation.saliency_measures import LEVELS, alignment_curve, stretched, structure_measure
from mtl.registry import METRICS


@METRICS.register_module()
class SaliencyMetric(AdditiveMetric):
    """``maxF`` (headline) and ``mIoU`` in percent: the best over thresholds, by one of two published recipes.

    Beside them, in percent, what people of salient object detection report, means over images: ``MAE``, ``Sm``
    (S-measure), and ``maxEm`` and ``meanEm`` (E-measure, best and mean over 256 thresholds of the averaged curve). For
    these, each prediction is stretched to 0 .. 1 first, as in the published evaluations.

    ``recipe='dataset'`` (InvPT, TaskExpert): 255 thresholds ``k / 255``, a pixel is positive if ``p >= threshold``;
    true positives, predicted and actual positives are summed over the data set, then
    ``F = (1 + beta2) P R / (beta2 P + R)``. ``F`` and IoU are 0 at a threshold where they are 0 / 0.

    ``recipe='image'`` (ASTMT, MTLoRA): 15 thresholds 0.2, 0.25, ... 0.9, positive if ``p > threshold``; precision,
    recall and IoU of each image, averaged over images, F from the averages. An image where neither label nor
    prediction has a positive has IoU 1, and precision and recall 0, as published.

    Unknown pixels count in neither. A prediction that is not a number is taken as not salient.

    Args:
        task: a task with binary labels and probabilities as predictions.
        recipe: ``'dataset'`` or ``'image'``.
        beta2: weight beta squared of precision; 1 is usual for PASCAL-Context, 0.3 in the saliency literature.
        prefix: see :class:`AdditiveMetric`.
    """

    def __init__(self, task, recipe: str = 'dataset', beta2: float = 1.0, prefix: str | None = None) -> None:
        super().__init__(task, prefix)
        if recipe not in ('dataset', 'image'):
            raise ValueError(f"recipe must be 'dataset' or 'image'; found {recipe!r} for task {self.task.name!r}.")
        self.recipe = recipe
        self.beta2 = beta2
        if recipe == 'dataset':
            self.thresholds = torch.arange(1, 256, dtype=torch.float64) / 255
        else:
            self.thresholds = torch.linspace(0.2, 0.9, 15, dtype=torch.float64)

    @property
    def variant(self) -> dict[str, object]:
        return {'recipe': self.recipe, 'beta2': self.beta2}

    def zeros(self) -> dict[str, Tensor]:
        levels = len(self.thresholds) + 1
        counts = {
            'pixels': torch.zeros((), dtype=torch.int64),
            'images': torch.zeros((), dtype=torch.int64),
            'errors': torch.zeros(2, dtype=torch.float64),
            'alignment': torch.zeros(LEVELS, dtype=torch.float64),
        }
        if self.recipe == 'dataset':
            return counts | {'above': torch.zeros(2, levels, dtype=torch.int64)}
        scores = torch.zeros(3, levels, dtype=torch.float64)
        return counts | {'scores': scores}

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid = self.task.valid(target).long()
        prediction = prediction.float().nan_to_num(0.0)
        above = self._above(prediction, (target == 1).long(), valid)
        pixels = valid.sum()
        counts = {'pixels': pixels, 'images': (pixels > 0).long(), **_structure(prediction, target == 1, valid)}
        if self.recipe == 'dataset':
            return {'above': above, **counts}
        scores = torch.stack(precision_recall_iou(*above, actual=above[1, 0]))
        # an image without a valid pixel does not count
        return {'scores': scores * (pixels > 0), **counts}

    def _above(self, prediction: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
        """``[2, K + 1]``: negatives and positives that are predicted, by threshold; first those of an all-ones map."""
        levels = len(self.thresholds) + 1
        thresholds = self.thresholds.to(prediction)
        passed = torch.bucketize(prediction, thresholds, right=self.recipe == 'dataset')  # thresholds that it passes
        counts = histogram(positive * levels + passed, valid, 2 * levels).view(2, levels)
        return counts.flip(1).cumsum(1).flip(1)

    def _curves(self, totals: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """F and IoU, ``[K + 1]`` each; entry 0 is the all-ones prediction."""
        if self.recipe == 'image':
            precision, recall, iou = ratio(totals['scores'], totals['images'])
        else:
            above = totals['above']
            precision, recall, _ = precision_recall_iou(*above, actual=above[1, 0])
            iou = ratio(above[1], above[0] + above[1, 0])  # unlike an image, an empty data set earns nothing
        f = ratio((1 + self.beta2) * precision * recall, self.beta2 * precision + recall)
        return 100 * f.nan_to_num(0.0), 100 * iou.nan_to_num(0.0)

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        f, iou = self._curves(totals)
        error, structure = 100 * ratio(totals['errors'], totals['images'])
        alignment = 100 * ratio(totals['alignment'], totals['images'])
        return {
            'maxF': f[1:].max(),
            'mIoU': iou[1:].max(),
            'MAE': error,
            'Sm': structure,
            'maxEm': alignment.max(),
            'meanEm': alignment.mean(),
        }

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Everything is salient."""
        return float(self._curves(totals)[0][0])


def _structure(prediction: Tensor, positive: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """MAE, S-measure and curve of the E-measure of one image; zeros where nothing is known."""
    weight, truth = valid.double(), positive.double()
    prediction = stretched(prediction.double(), weight)
    known = (weight.sum() > 0).double()
    error = (weight * (prediction - truth).abs()).sum() / weight.sum().clamp(min=1)
    measures = torch.stack([error, structure_measure(prediction, truth, weight)])
    curve = alignment_curve(prediction.nan_to_num(0.0), truth, weight)
    return {'errors': torch.where(known > 0, measures, 0.0), 'alignment': torch.where(known > 0, curve, 0.0)}


def precision_recall_iou(false: Tensor, true: Tensor, actual: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Precision and recall (0 where 0 / 0) and IoU (1 where 0 / 0) from counts.

    Args:
        false, true: false and true positives ``[K]``.
        actual: positives of the label.
    """
    precision = ratio(true, false + true).nan_to_num(0.0)
    recall = ratio(true, actual).nan_to_num(0.0)
    return precision, recall, ratio(true, false + actual).nan_to_num(1.0)
