"""A quick look at boundaries during training. Not odsF."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.evaluation.additive import ratio

_THRESHOLD = 0.5


def fast_zeros() -> dict[str, Tensor]:
    """The statistics of no image, see :func:`fast_counts`."""
    return {
        'pixels': torch.zeros((), dtype=torch.int64),
        'fast': torch.zeros(6, dtype=torch.int64),
        'loss': torch.zeros(2, dtype=torch.float64),
    }


def fast_counts(probability: Tensor, positive: Tensor, valid: Tensor, max_dist: float) -> dict[str, Tensor]:
    """Statistics of one image, on the device of the prediction.

    ``fast`` holds the number of predicted pixels (``p > 0.5``), of those near the truth, of true pixels, of those
    near a predicted one, of all valid pixels near the truth, and of true pixels once more, being all near an all-ones
    prediction. Near is within ``max_dist`` of the image diagonal. There is neither thinning nor one-to-one matching:
    thick predictions are not punished, which is why this must not be mistaken for the benchmark's F.

    Args:
        probability: ``[H, W]``.
        positive, valid: boolean ``[H, W]``.
        max_dist: tolerance as a share of the image diagonal.
    """
    predicted = (probability > _THRESHOLD) & valid
    positive = positive & valid
    radius = max_dist * math.hypot(*probability.shape)
    near_truth, near_prediction = dilate(positive, radius) & valid, dilate(predicted, radius)
    counts = [predicted, predicted & near_truth, positive, positive & near_prediction, near_truth, positive]
    clipped = probability.double().clamp(1e-7, 1 - 1e-7)
    loss = [-(clipped.log() * positive).sum(), -((1 - clipped).log() * (valid & ~positive)).sum()]
    return {
        'pixels': valid.sum(),
        'fast': torch.stack([count.sum() for count in counts]),
        'loss': torch.stack(loss),
    }


def dilate(mask: Tensor, radius: float) -> Tensor:
    """Pixels ``[H, W]`` whose centre is at most ``radius`` from a pixel of the boolean ``mask``."""
    reach = int(radius)
    offset = torch.arange(-reach, reach + 1, device=mask.device)
    disk = (offset.square()[:, None] + offset.square() <= radius**2).float()
    return F.conv2d(mask.float()[None, None], disk[None, None], padding=reach)[0, 0] > 0.5


def fast_f(totals: dict[str, Tensor]) -> float:
    """F in percent at threshold 0.5."""
    predicted, right, actual, found = totals['fast'][:4]
    return f_measure(ratio(found, actual), ratio(right, predicted))


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
