"""Swin's attention in shifted windows, for maps of any size: a form for tracing, for training, for prediction on a CPU.

timm derives paddings and counts of windows from one another by nested remainders. A tracer with symbols for sizes
cannot simplify those: it needs minutes and ends in conditions that exclude most sizes. Here every size is a count of
windows times a constant, and the batch stays an axis of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Entries of attention scores computed at a time without gradients on a CPU: they stay in its second-level cache.
SCORES = 2**19


class WindowGrid(NamedTuple):
    """How a map is cut into windows.

    Attributes:
        size: ``(H, W)`` of the map.
        window: ``(rows, columns)`` of a window.
        shift: by how many rows and columns the map is rolled before it is cut; 0 for none.
    """

    size: tuple[int, int]
    window: tuple[int, int]
    shift: tuple[int, int]

    @property
    def counts(self) -> tuple[int, int]:
        """Windows down and across; the last ones may be partly padding."""
        # rounded up without negative numbers, which Python and ONNX divide differently
        down, across = ((side + window - 1) // window for side, window in zip(self.size, self.window, strict=True))
        return down, across

    @property
    def padded(self) -> tuple[int, int]:
        """``(H, W)`` with the padding."""
        (down, across), (rows, columns) = self.counts, self.window
        return down * rows, across * columns

    def pads(self) -> bool:
        """Whether there is padding; always under a compiler, whose graph is one for all sizes."""
        return torch.compiler.is_compiling() or self.padded != self.size


def into_windows(x: Tensor, grid: WindowGrid) -> Tensor:
    """``[B, H, W, C]``, rolled, padded with zeros and cut, to ``[B, windows, N, C]``."""
    (rows, columns), (down, across), shift = grid.window, grid.counts, grid.shift
    if any(shift):
        x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
    if grid.pads():
        height, width = grid.padded
        x = F.pad(x, (0, 0, 0, width - grid.size[1], 0, height - grid.size[0]))
    windows = x.view(x.shape[0], down, rows, across, columns, -1).transpose(2, 3)
    return windows.reshape(x.shape[0], down * across, rows * columns, -1)


def from_windows(windows: Tensor, grid: WindowGrid) -> Tensor:
    """The inverse of :func:`into_windows`."""
    (rows, columns), (down, across), (height, width) = grid.window, grid.counts, grid.size
    x = windows.view(windows.shape[0], down, across, rows, columns, -1).transpose(2, 3)
    x = x.reshape(windows.shape[0], down * rows, across * columns, -1)
    if grid.pads():
        x = x.narrow(1, 0, height).narrow(2, 0, width)
    return torch.roll(x, grid.shift, (1, 2)) if any(grid.shift) else x


def window_attention(qkv: Tensor, bias: Tensor, scale: float, grid: WindowGrid, dropout: float = 0.0) -> Tensor:
    """``softmax(scale * q k' + bias + mask) v`` in every window and head.

    ``mask`` is -100 between tokens that the roll brought together from opposite sides of the map (Swin, Liu et al.,
    ICCV 2021, section 3.2).

    Args:
        qkv: ``[B, windows, N, 3 * heads * head_dim]``, as :func:`into_windows` orders windows and tokens.
        bias: relative position bias ``[heads, N, N]``.
        scale: of the products.
        grid: how the map was cut.
        dropout: of the attention; 0 outside training.

    Returns:
        ``[B, windows, N, heads * head_dim]``.
    """
    qkv = qkv.unflatten(-1, (3, len(bias), -1))
    regions = _regions(grid, qkv.device) if any(grid.shift) else None
    differentiates = torch.is_grad_enabled() and (qkv.requires_grad or bias.requires_grad)
    if torch.compiler.is_compiling() or (differentiates and bias.requires_grad):
        # the fused kernels take the position bias as a mask; those of the CPU give it no gradient
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))  # [B, windows, heads, N, head_dim]
        scores = (q * scale) @ k.mT + (bias if regions is None else bias + _mask(regions)[:, None])
        out = (F.dropout(scores.softmax(-1), dropout) @ v).transpose(2, 3)
    elif differentiates or dropout or qkv.device.type != 'cpu' or qkv.dtype != bias.dtype:
        q, k, v = (part.flatten(0, 1).transpose(1, 2) for part in qkv.unbind(3))  # [B * windows, heads, N, head_dim]
        mask = bias
        if regions is not None:
            mask = (bias + _mask(regions)[:, None]).repeat(qkv.shape[0], 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, mask.to(q.dtype), dropout, scale=scale)
        out = out.transpose(1, 2).unflatten(0, qkv.shape[:2])
    else:
        out = _some_windows_at_a_time(qkv.flatten(0, 1), bias, scale, regions).unflatten(0, qkv.shape[:2])
    return out.flatten(3)


def _some_windows_at_a_time(qkv: Tensor, bias: Tensor, scale: float, regions: Tensor | None) -> Tensor:
    """Attention whose scores never leave the cache: a few windows at a time, everything in place.

    Args:
        qkv: ``[B * windows, N, 3, heads, head_dim]``.
        bias: ``[heads, N, N]``.
        scale: of the scores.
        regions: of the windows of one image, ``[windows, N]``.

    Returns:
        ``[B * windows, N, heads, head_dim]``.
    """
    (count, tokens, _, heads, _), out = qkv.shape, torch.empty_like(qkv[:, :, 0])
    step = max(1, SCORES // bias.numel())
    biases = bias.repeat(min(step, count), 1, 1)
    masks: dict[int, Tensor] = {}  # by window of an image, of those that need one
    windows = 1 if regions is None else len(regions)
    if regions is not None:
        mixed = (regions != regions[:, :1]).any(1).nonzero()[:, 0]
        masks = dict(zip(mixed.tolist(), _mask(regions[mixed]), strict=True))
    for start in range(0, count, step):
        some = qkv[start : start + step]
        q, k, v = some.permute(2, 0, 3, 1, 4).flatten(1, 2)
        scores = torch.baddbmm(biases[: len(q)], q, k.mT, alpha=scale)
        for index in range(len(some)) if masks else ():
            mask = masks.get((start + index) % windows)
            if mask is not None:
                scores[index * heads : (index + 1) * heads] += mask
        attended = torch.bmm(torch.softmax(scores, -1, out=scores), v)
        out[start : start + step] = attended.view(len(some), heads, tokens, -1).transpose(1, 2)
    return out


def _regions(grid: WindowGrid, device: torch.device) -> Tensor:
    """``[windows, N]``: a number for the side of the map each token comes from, after the shift."""
    came_around = []  # [windows along the axis, window]; only the last window holds both kinds
    for count, window, shift in zip(grid.counts, grid.window, grid.shift, strict=True):
        position = torch.arange(count * window, device=device)
        came_around.append((position >= count * window - shift).long().view(count, window))
    regions = 2 * came_around[0][:, None, :, None] + came_around[1][None, :, None, :]
    return regions.flatten(2).flatten(0, 1)


def _mask(regions: Tensor) -> Tensor:
    """``[windows, N, N]``: -100 between tokens of different regions."""
    return -100.0 * (regions[:, :, None] != regions[:, None, :]).float()
