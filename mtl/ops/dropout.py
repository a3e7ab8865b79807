"""Dropout that does not dominate on a CPU.

torch draws one random number an entry, one after another: on a CPU that takes ten times the linear layer the dropout
feeds. But entries dropped independently with probability ``p`` are a Bernoulli process, whose gaps between successes
are independent and geometric: drawing only the gaps gives the same distribution from ``p`` times as many numbers, and
the positions take less memory than a mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Dropped:
    """What inverted dropout hides of a tensor.

    Args:
        where: positions in the flattened tensor, or a mask of its shape.
        scale: of the entries that stay, ``1 / (1 - p)``.
    """

    where: Tensor
    scale: float

    def apply(self, x: Tensor) -> Tensor:
        """A copy of ``x``, contiguous, with entries hidden and the others scaled. The map is its own transpose."""
        hit = x.contiguous() * self.scale
        if self.where.dtype == torch.bool:
            return hit.masked_fill_(self.where, 0.0)
        hit.view(-1).index_fill_(0, self.where, 0.0)
        return hit


def draw_dropped(shape: torch.Size, p: float, device: torch.device) -> Dropped:
    """Hide each entry of a tensor of ``shape`` with probability ``0 < p < 1``."""
    scale = 1 / (1 - p)
    if device.type == 'cpu':
        return Dropped(bernoulli_positions(math.prod(shape), p), scale)
    # an accelerator draws in parallel, and would have to wait for a length that depends on the draws
    return Dropped(torch.rand(shape, device=device) < p, scale)


def dropout(x: Tensor, p: float) -> Tensor:
    """Inverted dropout: entries of ``x`` are hidden with probability ``p``, the others scaled by ``1 / (1 - p)``."""
    if not p:
        return x
    if torch.compiler.is_compiling():  # the compiler draws and applies the mask in one kernel
        return F.dropout(x, p)
    return draw_dropped(x.shape, p, x.device).apply(x)


def bernoulli_positions(size: int, p: float) -> Tensor:
    """Positions of the successes in ``size`` independent trials of probability ``p``, in increasing order.

    The gap to the next success is geometric, ``1 + floor(log(1 - U) / log(1 - p))`` for ``U`` uniform in ``[0, 1)``.
    """
    expected, deviation = size * p, math.sqrt(size * p * (1 - p))
    draws = math.ceil(expected + 4 * deviation) + 1
    found, last = [], -1
    while last < size - 1:
        # in double: single precision would cut the tail of the gaps off
        gaps = torch.rand(draws, dtype=torch.double).neg_().log1p_().div_(math.log1p(-p)).floor_().long().add_(1)
        found.append(gaps.cumsum_(0).add_(last))
        last = int(found[-1][-1])
    positions = torch.cat(found) if len(found) > 1 else found[0]
    return positions[: int(torch.searchsorted(positions, size))]
