"""One map from the levels of a pyramid: upsample, concatenate, 1x1 convolution."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.ops.upsample import upsampled

# Writing an upsampled map takes as long as about so many multiplications an entry (measured on a CPU).
UPSAMPLING_COST = 64


def upsampled_first(channels: int) -> bool:
    """Whether levels of so many channels together are upsampled before the convolution, not its result."""
    return channels <= UPSAMPLING_COST


def fuse_levels(levels: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """``W [up(x_1), ..., up(x_L)] + b``, with every level upsampled to the finest.

    A 1x1 convolution and bilinear upsampling are both linear and act on different axes. So a level may be multiplied
    with its columns of ``W`` at its own resolution, and the product upsampled and added: the same numbers. That is done
    for levels of many channels, where it saves multiplications; levels of few channels are cheaper to upsample than
    their product. All maps are channels-last, where a 1x1 convolution is one matrix product and can add to what is
    there.

    Args:
        levels: ``[B, H_l, W_l, c_l]`` each, the finest first; levels of one size stand together.
        weight: ``[out, sum of c_l]``.
        bias: ``[out]``.

    Returns:
        ``[B, H_1, W_1, out]``.
    """
    batch, height, width, _ = levels[0].shape
    parts = zip(levels, weight.split([level.shape[-1] for level in levels], dim=1), strict=True)
    total, late = None, []
    for size, same in groupby(parts, key=lambda level_and_part: level_and_part[0].shape[1:3]):
        group = list(same)
        values = torch.cat([level for level, _ in group], -1)
        part = torch.cat([part for _, part in group], -1)
        if size == (height, width) or upsampled_first(part.shape[1]):
            late.append((upsampled(values, (height, width)), part))
        else:
            early = upsampled(F.linear(values, part, bias if total is None else None), (height, width))
            total = early if total is None else total.add_(early)
    rows = torch.cat([values for values, _ in late], -1).flatten(0, 2)
    part = torch.cat([part for _, part in late], -1)
    if total is None:
        total = F.linear(rows, part, bias)
    else:
        total = total.flatten(0, 2)
        # in place only without gradients: of a change to a view, autograd keeps records that cost more than the copy
        total = torch.addmm(total, rows, part.T, out=None if torch.is_grad_enabled() else total)
    return total.view(batch, height, width, -1)
