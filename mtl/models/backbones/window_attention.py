"""Swin's shifted windows in a form that a tracer can follow for images of any size."""

from __future__ import annotations

from types import MethodType

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn


def make_traceable(model: nn.Module) -> None:
    """Give every timm Swin block below ``model`` :func:`windowed_attention`, in place; the numbers stay the same."""
    for block in model.modules():
        if isinstance(block, SwinTransformerBlock):
            block._attn = MethodType(windowed_attention, block)


def windowed_attention(block: SwinTransformerBlock, x: Tensor) -> Tensor:
    """Attention within (shifted) windows, ``[B, H, W, C]`` to ``[B, H, W, heads * head_dim]`` before a projection.

    timm derives paddings and counts of windows from one another by nested remainders. A tracer with symbols for sizes
    cannot simplify those: it needs minutes and ends in conditions that exclude most sizes. Here every size is a count
    of windows times a constant, and the batch stays an axis of its own.
    """
    batch, height, width, _ = x.shape
    (rows, columns), shift = block.window_size, block.shift_size
    # rounded up without negative numbers, which Python and ONNX divide differently
    down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
    if any(shift):
        x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
    x = F.pad(x, (0, 0, 0, across * columns - width, 0, down * rows - height))
    windows = x.view(batch, down, rows, across, columns, -1).transpose(2, 3)
    windows = windows.reshape(batch, down * across, rows * columns, -1)
    out = _attention(block.attn, windows, _shift_mask(block, down, across, x.device))
    out = out.view(batch, down, across, rows, columns, -1).transpose(2, 3)
    out = out.reshape(batch, down * rows, across * columns, -1).narrow(1, 0, height).narrow(2, 0, width)
    return torch.roll(out, shift, (1, 2)) if any(shift) else out


def _attention(attention: nn.Module, x: Tensor, mask: Tensor | None) -> Tensor:
    """timm's ``WindowAttention`` on tokens ``[B, windows, N, C]``; ``mask`` is ``[windows, N, N]``."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1))
    q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))  # [B, windows, heads, N, head_dim]
    bias = attention._get_rel_pos_bias()
    scores = (q * attention.scale) @ k.mT + (bias if mask is None else bias + mask[:, None])
    return attention.proj((scores.softmax(-1) @ v).transpose(2, 3).flatten(3))


def _shift_mask(block: SwinTransformerBlock, down: int, across: int, device: torch.device) -> Tensor | None:
    """``[windows, N, N]``: -100 between tokens that the shift brought together from opposite sides of the image."""
    if not any(block.shift_size):
        return None
    came_around = []  # [windows along the axis, window]; only the last window holds both kinds
    for count, window, shift in zip((down, across), block.window_size, block.shift_size, strict=True):
        position = torch.arange(count * window, device=device)
        came_around.append((position >= count * window - shift).long().view(count, window))
    regions = 2 * came_around[0][:, None, :, None] + came_around[1][None, :, None, :]
    regions = regions.flatten(2).flatten(0, 1)
    return -100.0 * (regions[:, :, None] != regions[:, None, :]).float()
