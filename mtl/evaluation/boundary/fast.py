"""A quick look at boundaries during training. Not odsF."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.evaluation.additive import histogram, ratio

_THRESHOLD = 0.5
_LEVELS = 50  # thresholds k / 50, of which the best is sought


def fast_zeros() -> dict[str, Tensor]:
    """The statistics of no image, see :func:`fast_counts`."""
    return {
        'pixels': torch.zeros((), dtype=torch.int64),
        'fast': torch.zeros(6, dtype=torch.int64),
        'levels': torch.zeros(3, _LEVELS, dtype=torch.int64),
        'loss': torch.zeros(2, dtype=torch.float64),
    }


def fast_counts(probability: Tensor, positive: Tensor, valid: Tensor, max_dist: float) -> dict[str, Tensor]:
    """Statistics of one image, on the device of the prediction.

    ``fast`` holds the number of predicted pixels (``p > 0.5``), of those near the truth, of true pixels, of those
    near a predicted one, of all valid pixels near the truth, and of true pixels once more, being all near an all-ones
    prediction. Near is within ``max_dist`` of the image diagonal. There is neither thinning nor one-to-one matching:
    thick predictions are not punished, which is why this must not be mistaken for the benchmark's F.

    ``levels`` holds histograms from which the same follows at every threshold: of the probabilities, of those near
    the truth, and, over true pixels, of the largest probability near by (a true pixel is near a predicted one exactly
    where that reaches the threshold).

    Args:
        probability: ``[H, W]``.
        positive, valid: boolean ``[H, W]``.
        max_dist: tolerance as a share of the image diagonal.
    """
    predicted = (probability > _THRESHOLD) & valid
    positive = positive & valid
    radius = max_dist * math.hypot(*probability.shape)
    largest_near = dilate(probability.where(valid, 0.0), radius)
    near_truth, near_prediction = (dilate(positive.float(), radius) > 0) & valid, largest_near > _THRESHOLD
    counts = [predicted, predicted & near_truth, positive, positive & near_prediction, near_truth, positive]
    levels = [(probability, valid), (probability, near_truth), (largest_near, positive)]
    clipped = probability.double().clamp(1e-7, 1 - 1e-7)
    loss = [-(clipped.log() * positive).sum(), -((1 - clipped).log() * (valid & ~positive)).sum()]
    return {
        'pixels': valid.sum(),
        'fast': torch.stack([count.sum() for count in counts]),
        'levels': torch.stack([histogram(_level(values), where.long(), _LEVELS) for values, where in levels]),
        'loss': torch.stack(loss),
    }


def dilate(values: Tensor, radius: float) -> Tensor:
    """The largest of ``values`` ``[H, W]``, none below 0, within ``radius`` of each pixel's centre."""
    reach, height = int(radius), len(values)
    padded, largest = F.pad(values, (0, 0, reach, reach)), values
    for down in range(-reach, reach + 1):  # the disk, row by row
        half = int(math.sqrt(radius**2 - down**2))
        rows = padded[reach + down : reach + down + height]
        rows = F.max_pool2d(rows[None, None], (1, 2 * half + 1), 1, (0, half))[0, 0]
        largest = torch.maximum(largest, rows)
    return largest


def _level(probability: Tensor) -> Tensor:
    """How many of the thresholds ``1 / 50, 2 / 50, ...`` a probability reaches."""
    return (probability * _LEVELS).long().clamp(0, _LEVELS - 1)


def fast_f(totals: dict[str, Tensor]) -> float:
    """F in percent at threshold 0.5."""
    predicted, right, actual, found = totals['fast'][:4]
    return f_measure(ratio(found, actual), ratio(right, predicted))


def fast_ods_f(totals: dict[str, Tensor]) -> float:
    """F in percent at the best of the thresholds, one for all images."""
    predicted, right, found = totals['levels'].flip(1).cumsum(1).flip(1)[:, 1:]
    actual = totals['fast'][2]
    return max(f_measure(ratio(f, actual), ratio(r, p)) for p, r, f in zip(predicted, right, found, strict=True))


def fast_f_of_ones(totals: dict[str, Tensor]) -> float:
    """F in percent of an all-ones map: full recall, and the precision of chance."""
    near_truth, actual = totals['fast'][4:]
    return f_measure(ratio(actual, actual), ratio(near_truth, totals['pixels']))


def balanced_loss(totals: dict[str, Tensor], pos_weight: float | None) -> Tensor:
    """Balanced cross entropy a valid pixel; ``pos_weight=None`` weighs positives by the share of negatives."""
    pixels, actual = totals['pixels'], totals['fast'][2]
    weight = ratio(pixels - actual, pixels) if pos_weight is None else pos_weight
    positives, negatives = totals['loss']
    return ratio(weight * positives + (1 - weight) * negatives, pixels)


def f_measure(recall: Tensor, precision: Tensor) -> float:
    """``100 * 2 P R / (P + R)``, 0 where it is 0 / 0."""
    recall, precision = recall.nan_to_num(0.0), precision.nan_to_num(0.0)
    return float(100 * ratio(2 * precision * recall, precision + recall).nan_to_num(0.0))
