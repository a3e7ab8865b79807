"""Softmax cross entropy of upsampled logits, which are never all there."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.ops.direct import is_direct

ENTRIES = 2**17  # upsampled logits per thread at a time: they stay in the second-level cache


def upsampled_cross_entropy(logits: Tensor, size: tuple[int, int], target: Tensor, ignore_index: int = 255) -> Tensor:
    """``sum over pixels of -log softmax(upsample(y))[class]``, bilinear, corners not aligned.

    The logits of all classes at the size of an image are the largest tensor of a training step, and autograd keeps
    them twice. On a CPU a few rows of an image are upsampled at a time. Where a gradient is asked for, it is made in
    the same pass, ``softmax - onehot``, and brought back to the size of ``y`` at once; it is all that is kept.

    Args:
        logits: ``y`` ``[B, C, h, w]``.
        size: ``(H', W')`` to upsample to.
        target: integer class ids ``[B, H, W]``, of the top left part of what is upsampled; ``ignore_index`` does not
            count.
        ignore_index: see ``target``.

    Returns:
        A scalar, in single precision at least.
    """
    if is_direct(logits):
        total: Tensor = _Sum.apply(logits, size, target, ignore_index)
        return total
    logits = F.interpolate(logits, size=size, mode='bilinear', align_corners=False)
    logits = logits[..., : target.shape[1], : target.shape[2]]
    return F.cross_entropy(logits.float(), target.long(), ignore_index=ignore_index, reduction='sum')


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, size: tuple[int, int], target: Tensor, ignore_index: int) -> Tensor:
        differentiates = ctx.needs_input_grad[0]
        classes, height, width = logits.shape[1:]
        down = _interpolation(height, size[0], logits)[: target.shape[1]]
        across = _interpolation(width, size[1], logits)[: target.shape[2]]
        gradient = torch.empty_like(logits) if differentiates else None
        total = logits.new_zeros(())
        step = max(1, ENTRIES * torch.get_num_threads() // max(1, classes * len(across)))
        buffer = logits.new_empty(min(step, len(down)), classes, len(across))
        for image, labels in enumerate(target):
            # rows first and outermost: then every product takes all classes, and its result lies as it is needed
            rows = (down @ logits[image].transpose(0, 1).reshape(height, -1)).view(-1, classes, width)
            d_rows = torch.empty_like(rows)
            for start in range(0, len(rows), step):
                part = slice(start, start + step)
                some, values = rows[part], buffer[: len(rows[part])]
                torch.mm(some.flatten(0, 1), across.T, out=values.view(-1, len(across)))
                classes_of = labels[part].long()[:, None]
                valid = classes_of != ignore_index
                classes_of = classes_of.where(valid, 0)
                values -= values.amax(1, keepdim=True)
                chosen = values.gather(1, classes_of)
                normaliser = values.exp_().sum(1, keepdim=True)
                total += (normaliser.log() - chosen).where(valid, 0).sum()
                if differentiates:
                    values *= valid / normaliser
                    values.scatter_add_(1, classes_of, -valid.to(values.dtype))
                    torch.mm(values.view(-1, len(across)), across, out=d_rows[part].view(-1, width))
            if gradient is not None:
                gradient[image] = (down.T @ d_rows.flatten(1)).view(height, classes, width).transpose(0, 1)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * above, None, None, None


def _interpolation(n_in: int, n_out: int, like: Tensor) -> Tensor:
    """Weights ``[n_out, n_in]`` of linear interpolation along an axis."""
    places = (torch.arange(n_out, dtype=torch.double, device=like.device) + 0.5) * (n_in / n_out) - 0.5
    places = places.clamp(0, n_in - 1)
    before = places.floor().long()
    share = places - before
    weights = places.new_zeros(n_out, n_in)
    weights.scatter_add_(1, before[:, None], (1 - share)[:, None])
    weights.scatter_add_(1, (before + 1).clamp(max=n_in - 1)[:, None], share[:, None])
    return weights.to(like.dtype)
