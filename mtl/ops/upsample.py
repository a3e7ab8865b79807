"""Bilinear resizing, corners not aligned."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_NUMBERS = 1 << 27  # that a strip holds: half a gigabyte


def upsampled(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bilinear interpolation of ``[B, H, W, C]`` to ``size`` ``(H', W')``, corners not aligned."""
    if x.shape[1:3] == size:
        return x
    x = F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False)
    return x.permute(0, 2, 3, 1).contiguous()


def upsampled_strips(x: Tensor, size: tuple[int, int]) -> Iterator[Tensor]:
    """``x`` ``[1, C, h, w]`` at ``size`` ``(H, W)``, in strips ``[1, C, rows, W]`` of single precision, top to bottom.

    The logits of all classes at the size of a photograph of 50 megapixels would take gigabytes. Where they are small
    enough there is one strip; ``x`` itself where it has the size.
    """
    if x.shape[-2:] == size:
        yield x
        return
    x = x.float()
    rows = max(1, MOST_NUMBERS // (x.shape[1] * size[1]))
    if rows >= size[0]:
        yield F.interpolate(x, size=size, mode='bilinear', align_corners=False)
        return
    for start in range(0, size[0], rows):
        yield _rows(x, size, range(start, min(start + rows, size[0])))


def _rows(x: Tensor, size: tuple[int, int], rows: range) -> Tensor:
    """Some rows of ``F.interpolate(x, size, mode='bilinear', align_corners=False)``."""
    height = x.shape[-2]
    places = torch.arange(rows.start, rows.stop, device=x.device, dtype=x.dtype)
    places = ((places + 0.5) * (height / size[0]) - 0.5).clamp(0, height - 1)
    above = places.floor().long()
    below = (above + 1).clamp(max=height - 1)
    share = (places - above)[:, None]
    mixed = x[..., above, :] * (1 - share) + x[..., below, :] * share
    return F.interpolate(mixed, size=(len(rows), size[1]), mode='bilinear', align_corners=False)
