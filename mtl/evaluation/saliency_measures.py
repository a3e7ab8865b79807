"""Measures of one saliency map that look at its structure, as people of that task report them.

Sums over the image only, so that nothing is read back from a GPU. Unknown pixels have weight 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps
LEVELS = 256


def stretched(prediction: Tensor, weight: Tensor) -> Tensor:
    """``prediction`` stretched to 0 .. 1 over the known pixels, as the published evaluations do; a flat one stays."""
    low = torch.where(weight > 0, prediction, torch.inf).amin()
    high = torch.where(weight > 0, prediction, -torch.inf).amax()
    return torch.where(high > low, (prediction - low) / (high - low), prediction).clamp(0, 1)


def structure_measure(prediction: Tensor, truth: Tensor, weight: Tensor, alpha: float = 0.5) -> Tensor:
    """S-measure (Fan et al., ICCV 2017): similarity of the object and of four regions around its centre.

    Args:
        prediction: ``[H, W]`` float64 in [0, 1].
        truth: ``[H, W]`` float64, 1 on the object.
        weight: ``[H, W]`` float64, 0 on unknown pixels.
        alpha: share of the object's similarity.

    Returns:
        A scalar.
    """
    total = weight.sum()
    share = (weight * truth).sum() / total
    of_object = share * _likeness(prediction, weight * truth)
    of_object = of_object + (1 - share) * _likeness(1 - prediction, weight * (1 - truth))
    score = (alpha * of_object + (1 - alpha) * _regions(prediction, truth, weight, total)).clamp(min=0)
    mean = (weight * prediction).sum() / total
    score = torch.where(share == 0, 1 - mean, score)
    return torch.where(share == 1, mean, score)


def _likeness(values: Tensor, weight: Tensor) -> Tensor:
    count = weight.sum().clamp(min=1)
    mean = (weight * values).sum() / count
    deviation = ((weight * (values - mean) ** 2).sum() / (count - 1).clamp(min=1)).sqrt()
    return 2 * mean / (mean**2 + 1 + deviation + EPS)


def _regions(prediction: Tensor, truth: Tensor, weight: Tensor, total: Tensor) -> Tensor:
    rows = torch.arange(truth.shape[0], device=truth.device)[:, None]
    columns = torch.arange(truth.shape[1], device=truth.device)[None]
    there = weight * truth
    count = there.sum().clamp(min=1)
    above = rows <= ((there * rows).sum() / count).round()
    left = columns <= ((there * columns).sum() / count).round()
    result = torch.zeros_like(total)
    for vertical in (above, ~above):
        for horizontal in (left, ~left):
            inside = weight * (vertical & horizontal)
            result = result + inside.sum() / total * _ssim(prediction, truth, inside)
    return result


def _ssim(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    count = weight.sum()
    x, y = ((weight * values).sum() / count.clamp(min=1) for values in (prediction, truth))
    free = count - 1 + EPS
    var_x, var_y, cov = (
        (weight * a * b).sum() / free
        for a, b in ((prediction - x, prediction - x), (truth - y, truth - y), (prediction - x, truth - y))
    )
    above, below = 4 * x * y * cov, (x**2 + y**2) * (var_x + var_y)
    score = torch.where(below == 0, 1.0, 0.0)
    return torch.where(above != 0, above / (below + EPS), score)


def alignment_curve(prediction: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """E-measure (Fan et al., IJCAI 2018) of ``prediction >= k / 255`` for ``k`` = 0 .. 255.

    Args:
        prediction, truth, weight: see :func:`structure_measure`.

    Returns:
        ``[256]``.
    """
    levels = (prediction * (LEVELS - 1)).long()
    hits, false = (
        torch.zeros(LEVELS, dtype=torch.float64, device=truth.device)
        .scatter_add_(0, levels.flatten(), (weight * of).flatten())
        .flip(0)
        .cumsum(0)
        .flip(0)
        for of in (truth, 1 - truth)
    )
    total, actual = weight.sum(), (weight * truth).sum()
    found = hits + false
    mean, mean_truth = found / total, actual / total
    result = torch.zeros_like(hits)
    for count, p, t in (
        (hits, 1 - mean, 1 - mean_truth),
        (false, 1 - mean, -mean_truth),
        (actual - hits, -mean, 1 - mean_truth),
        (total - found - (actual - hits), -mean, -mean_truth),
    ):
        result = result + count * (2 * p * t / (p**2 + t**2 + EPS) + 1) ** 2 / 4
    result = torch.where(actual == 0, total - found, result)
    result = torch.where(actual == total, found, result)
    return result / (total - 1 + EPS)
