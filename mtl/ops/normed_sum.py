"""The norm of a fine map and an upsampled coarse one, an image at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.ops.direct import is_direct
from mtl.ops.upsample import upsampled

ENTRIES = 2**17  # of the maps that are taken at a time: what is made of them stays in the second-level cache


def normed_sum(fine: Tensor, coarse: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
    """``norm(M + upsample(W))`` of each task, a layer norm over the channels.

    On a CPU the sum of all pixels is never a tensor: only the coarse map is kept for the backward pass, and the
    gradients of the tasks are read where they are, without stacking.

    Args:
        fine: ``M`` ``[T, B, H, W, k]``.
        coarse: ``W`` ``[T, B, H', W', k]``; ``None`` for ``norm(M)``.
        weight, bias: ``[k]``, of the norm.
        eps: of the norm.

    Returns:
        ``T`` maps ``[B, H, W, k]``.
    """
    if is_direct(fine, weight):
        result: tuple[Tensor, ...] = _NormedSum.apply(fine, coarse, weight, bias, eps)
        return result
    if coarse is not None:
        fine = fine + upsampled(coarse.flatten(0, 1), fine.shape[2:4]).unflatten(0, fine.shape[:2])
    return F.layer_norm(fine, fine.shape[-1:], weight, bias, eps).unbind()


class _NormedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, fine: Tensor, coarse: Tensor | None, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(fine, coarse, weight, bias)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        maps = [torch.empty_like(each) for each in fine]
        for task, images in _parts(fine):
            total = _sum(fine, coarse, task, images)
            maps[task][images] = F.layer_norm(total, total.shape[-1:], weight, bias, eps)
        return tuple(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *above: Tensor | None) -> tuple[Tensor | None, ...]:
        fine, coarse, weight, bias = ctx.saved_tensors
        d_fine, d_weight, d_bias = (torch.zeros_like(each) for each in (fine, weight, bias))
        d_coarse = None if coarse is None else torch.zeros_like(coarse)
        for task, images in _parts(fine):
            of_map = above[task]
            if of_map is None:
                continue
            total = _sum(fine, coarse, task, images)
            k = total.shape[-1:]
            _, mean, scale = torch.native_layer_norm(total, k, None, None, ctx.eps)
            gradient, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
                of_map[images].contiguous(), total, k, mean, scale, weight, bias, (True, True, True)
            )
            d_fine[task, images] = gradient
            d_weight += of_weight
            d_bias += of_bias
            if d_coarse is not None:
                small = d_coarse[task, images]
                batch, height, width, channels = small.shape
                of_small = torch.ops.aten.upsample_bilinear2d_backward(
                    gradient.permute(0, 3, 1, 2), total.shape[1:3], (batch, channels, height, width), False, None, None
                )
                small.copy_(of_small.permute(0, 2, 3, 1))
        return d_fine, d_coarse, d_weight, d_bias, None


def _sum(fine: Tensor, coarse: Tensor | None, task: int, images: slice) -> Tensor:
    total = fine[task, images]
    return total if coarse is None else upsampled(coarse[task, images], total.shape[1:3]) + total


def _parts(fine: Tensor) -> Iterator[tuple[int, slice]]:
    step = max(1, ENTRIES // max(1, fine[0, :1].numel()))
    for task in range(len(fine)):
        for start in range(0, fine.shape[1], step):
            yield task, slice(start, start + step)
