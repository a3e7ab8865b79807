"""Counts of one image over thresholds, and the scores from added-up counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from skimage.morphology import thin

from mtl.evaluation.boundary.matching import match
from mtl.evaluation.boundary.recipes import Recipe

_SEED = 0


def count_image(
    prediction: np.ndarray,
    truths: Sequence[np.ndarray],
    recipe: Recipe,
    max_dist: float,
    thresholds: Sequence[float] | None = None,
    valid: np.ndarray | None = None,
) -> np.ndarray:
    """``[T, 4]`` int64: matched truth, truth, matched predictions, predictions, by threshold.

    With several annotations truth is summed over them, and a predicted pixel is matched if it is in any.

    Args:
        prediction: boundary strengths ``[H, W]``, see :meth:`Recipe.strengths`.
        truths: boolean maps ``[H, W]``, one an annotator.
        recipe: the recipe.
        max_dist: tolerance as a share of the image diagonal.
        thresholds: increasing; the recipe's own by default.
        valid: boolean ``[H, W]``; boundaries elsewhere do not count.
    """
    thresholds = recipe.thresholds if thresholds is None else thresholds
    radius = max_dist * np.hypot(*prediction.shape)
    truths = [thin(truth) if recipe.thin_truth else np.asarray(truth, bool) for truth in truths]
    if valid is not None:
        truths = [truth & valid for truth in truths]
    strength = recipe.strengths(prediction)

    counts = np.zeros((len(thresholds), 4), np.int64)
    previous = -1
    for index, threshold in enumerate(thresholds):
        binary = recipe.binarise(strength, threshold)
        size = np.count_nonzero(binary)
        if size == previous:  # the maps are nested: no fewer pixels, no other map
            counts[index] = counts[index - 1]
            continue
        previous = size
        thinned = thin(binary)
        counts[index] = _count_map(thinned if valid is None else thinned & valid, truths, radius, recipe.losses)
    return counts


def _count_map(prediction: np.ndarray, truths: Sequence[np.ndarray], radius: float, losses: bool) -> list[int]:
    total = int(prediction.sum())
    hit = np.zeros(total, bool)
    found = actual = 0
    nearest = len(truths) > 1  # which pixels are matched matters only where annotators' matches are united
    for number, truth in enumerate(truths):
        random = np.random.RandomState(_SEED + number) if losses else None
        matched_prediction, matched_truth = match(prediction, truth, radius, nearest, random)
        hit |= matched_prediction
        found += int(matched_truth.sum())
        actual += int(truth.sum())
    return [found, actual, int(hit.sum()), total]


def recall_precision_f(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recall, precision and F ``[...]`` from counts ``[..., 4]``; 0 where 0 / 0, as in the benchmark."""
    found, actual, hit, total = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    recall, precision = found / np.maximum(actual, 1), hit / np.maximum(total, 1)
    return recall, precision, 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)


def best_counts(counts: np.ndarray) -> np.ndarray:
    """``[4]``: the counts of an image at its own best threshold, from ``[T, 4]``."""
    return counts[recall_precision_f(counts)[2].argmax()]


def scores(counts: np.ndarray, best: np.ndarray) -> dict[str, float]:
    """``odsF``, ``oisF`` and ``AP`` in percent.

    Args:
        counts: ``[T, 4]``, summed over images.
        best: ``[4]``, :func:`best_counts` summed over images.
    """
    recall, precision, _ = recall_precision_f(counts)
    return {
        'odsF': 100 * best_between(recall, precision),
        'oisF': 100 * float(recall_precision_f(best)[2]),
        'AP': 100 * average_precision(recall, precision),
    }


def best_between(recall: np.ndarray, precision: np.ndarray) -> float:
    """The best F at the thresholds and between them, where the benchmark takes recall and precision to be linear.

    As ``maxF`` of the BSDS500 benchmark: 100 steps from each threshold to the next.

    Args:
        recall, precision: ``[T]``.
    """
    share = np.linspace(0, 1, 100)
    between = [values[:-1, None] * (1 - share) + values[1:, None] * share for values in (recall, precision)]
    r, p = (np.concatenate([values, inner.ravel()]) for values, inner in zip((recall, precision), between, strict=True))
    return float((2 * p * r / np.maximum(p + r, np.finfo(float).tiny)).max())


def average_precision(recall: np.ndarray, precision: np.ndarray) -> float:
    """Area under precision over recall: sampled at recall 0, 0.01, ... 1, and 0 outside the measured range."""
    order, first = np.unique(recall, return_index=True)
    samples = np.interp(np.arange(101) / 100, order, precision[first], left=0.0, right=0.0)
    return float(samples.sum() / 100) if len(order) > 1 else 0.0
