"""Losses over labelled pixels.

Each sums over the valid pixels of the batch and divides by their number (see
:func:`mtl.losses.mean_over_processes` for several processes). Without a valid pixel, or with an empty batch,
the result is an exact 0 that is still connected to ``logits``: backward then fills zero gradients, and no branch
here is NaN.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mtl.losses.reduction import mean_over_processes


def _mean_over_valid(total: Tensor, count: Tensor) -> Tensor:
    # The clamp divides an exact 0 where nothing is valid. With several processes the mean count may be below 1.
    return total / mean_over_processes(count).clamp(min=1e-6)


def cross_entropy(logits: Tensor, target: Tensor, ignore_index: int = 255) -> Tensor:
    """Softmax cross entropy.

    Args:
        logits: ``[B, C, H, W]``.
        target: integer class ids ``[B, H, W]``; ``ignore_index`` does not count.
    """
    target = target.long()
    total = F.cross_entropy(logits.float(), target, ignore_index=ignore_index, reduction='sum')
    return _mean_over_valid(total, (target != ignore_index).sum())


def balanced_binary_cross_entropy(
    logits: Tensor, target: Tensor, pos_weight: float | Tensor | None = None, ignore_index: int = 255
) -> Tensor:
    """Class-balanced sigmoid cross entropy of HED (Xie and Tu, ICCV 2015).

    ``(w * sum over positives + (1 - w) * sum over negatives) / number of valid pixels``.

    Args:
        logits: ``[B, 1, H, W]``.
        target: ``[B, H, W]`` with 1 positive, 0 negative, ``ignore_index`` not counted.
        pos_weight: fixed ``w``. ``None``: the share of negatives among the valid pixels of the batch.
    """
    logits = logits.squeeze(1).float()
    valid = target != ignore_index
    positive = (target == 1) & valid
    count = mean_over_processes(valid.sum())
    if pos_weight is None:
        pos_weight = 1.0 - mean_over_processes(positive.sum()) / count.clamp(min=1e-6)
    pixel = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction='none')
    weight = positive * pos_weight + (valid & ~positive) * (1.0 - pos_weight)
    return (pixel * weight).sum() / count.clamp(min=1e-6)


def masked_l1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute error over valid pixels.

    Args:
        prediction, target: ``[B, H, W]`` or ``[B, C, H, W]``.
        valid: boolean ``[B, H, W]``.
    """
    if prediction.dim() == 4:
        valid = valid.unsqueeze(1)
    valid = valid.expand_as(prediction)
    # where() before the difference: an invalid target may be infinite, and inf * 0 is NaN
    difference = prediction.float() - target.where(valid, prediction.detach().float())
    return _mean_over_valid(difference.abs().sum(), valid.sum())


def normals_l1(logits: Tensor, target: Tensor) -> Tensor:
    """L1 distance between unit vectors, averaged over components of valid pixels.

    Args:
        logits: ``[B, 3, H, W]``, normalised here.
        target: ``[B, 3, H, W]`` unit vectors; the zero vector marks an invalid pixel.
    """
    return masked_l1(unit_vectors(logits.float(), dim=1), target, valid=(target != 0).any(dim=1))


def unit_vectors(x: Tensor, dim: int, eps: float = 1e-6) -> Tensor:
    """``x / |x|`` along ``dim``; vectors shorter than ``eps`` are divided by it.

    The numbers of ``F.normalize``, whose norm takes thirty times as long along any but the last axis on a CPU.
    """
    return x * x.square().sum(dim, keepdim=True).clamp(min=eps**2).rsqrt()
