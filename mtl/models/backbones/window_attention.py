"""Swin's shifted windows for images of any size, in a form for each use: tracing, training, and prediction on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

# Entries of attention scores computed at a time without gradients on a CPU: they stay in its second-level cache.
SCORES = 2**19


class WindowBlock(SwinTransformerBlock):
    """timm's block with :func:`windowed_attention` in place of its own; the numbers are the same."""

    def _attn(self, x: Tensor) -> Tensor:
        return windowed_attention(self, x)


def use_windowed_attention(model: nn.Module) -> None:
    """Make every timm Swin block below ``model`` a :class:`WindowBlock`, in place."""
    for block in model.modules():
        if type(block) is SwinTransformerBlock:
            block.__class__ = WindowBlock


def windowed_attention(block: SwinTransformerBlock, x: Tensor) -> Tensor:
    """Attention within (shifted) windows of ``block``, ``[B, H, W, C]`` to ``[B, H, W, C]``.

    Without the projection of ``block.attn`` (an ``Identity`` in its place), to ``[B, H, W, heads * head_dim]``.

    timm derives paddings and counts of windows from one another by nested remainders. A tracer with symbols for sizes
    cannot simplify those: it needs minutes and ends in conditions that exclude most sizes. Here every size is a count
    of windows times a constant, and the batch stays an axis of its own.
    """
    batch, height, width, _ = x.shape
    (rows, columns), shift = block.window_size, block.shift_size
    # rounded up without negative numbers, which Python and ONNX divide differently
    down, across = (height + rows - 1) // rows, (width + columns - 1) // columns
    pads = torch.compiler.is_compiling() or (down * rows, across * columns) != (height, width)
    if any(shift):
        x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
    if pads:
        x = F.pad(x, (0, 0, 0, across * columns - width, 0, down * rows - height))
    windows = x.view(batch, down, rows, across, columns, -1).transpose(2, 3)
    windows = windows.reshape(batch, down * across, rows * columns, -1)
    regions = _regions(block, down, across, x.device) if any(shift) else None
    out = _attention(block.attn, windows, regions)
    out = out.view(batch, down, across, rows, columns, -1).transpose(2, 3)
    out = out.reshape(batch, down * rows, across * columns, -1)
    if pads:
        out = out.narrow(1, 0, height).narrow(2, 0, width)
    return torch.roll(out, shift, (1, 2)) if any(shift) else out


def _attention(attention: nn.Module, x: Tensor, regions: Tensor | None) -> Tensor:
    """timm's ``WindowAttention`` on tokens ``[B, windows, N, C]``; ``regions`` as of :func:`_regions`."""
    qkv = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1))
    bias = attention._get_rel_pos_bias()[0]
    dropout = attention.attn_drop.p if attention.training else 0.0
    differentiates = torch.is_grad_enabled() and (qkv.requires_grad or bias.requires_grad)
    if torch.compiler.is_compiling() or (differentiates and bias.requires_grad):
        # the fused kernels take the position bias as a mask; those of the CPU give it no gradient
        q, k, v = (part.transpose(2, 3) for part in qkv.unbind(3))  # [B, windows, heads, N, head_dim]
        scores = (q * attention.scale) @ k.mT + (bias if regions is None else bias + _mask(regions)[:, None])
        out = (F.dropout(scores.softmax(-1), dropout) @ v).transpose(2, 3)
    elif differentiates or dropout or x.device.type != 'cpu' or qkv.dtype != bias.dtype:
        q, k, v = (part.flatten(0, 1).transpose(1, 2) for part in qkv.unbind(3))  # [B * windows, heads, N, head_dim]
        mask = bias
        if regions is not None:
            mask = (bias + _mask(regions)[:, None]).repeat(len(x), 1, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, mask.to(q.dtype), dropout, scale=attention.scale)
        out = out.transpose(1, 2).unflatten(0, x.shape[:2])
    else:
        out = _some_windows_at_a_time(qkv.flatten(0, 1), bias, attention.scale, regions).unflatten(0, x.shape[:2])
    return attention.proj_drop(attention.proj(out.flatten(3)))


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
    mixed = () if regions is None else (regions != regions[:, :1]).any(1).nonzero()[:, 0]
    masks = {} if regions is None else dict(zip(mixed.tolist(), _mask(regions[mixed]), strict=True))
    for start in range(0, count, step):
        some = qkv[start : start + step]
        q, k, v = some.permute(2, 0, 3, 1, 4).flatten(1, 2)
        scores = torch.baddbmm(biases[: len(q)], q, k.mT, alpha=scale)
        for index in range(len(some)) if masks else ():
            mask = masks.get((start + index) % len(regions))
            if mask is not None:
                scores[index * heads : (index + 1) * heads] += mask
        attended = torch.bmm(torch.softmax(scores, -1, out=scores), v)
        out[start : start + step] = attended.view(len(some), heads, tokens, -1).transpose(1, 2)
    return out


def _regions(block: SwinTransformerBlock, down: int, across: int, device: torch.device) -> Tensor:
    """``[windows, N]``: a number for the side of the image each token comes from, after the shift."""
    came_around = []  # [windows along the axis, window]; only the last window holds both kinds
    for count, window, shift in zip((down, across), block.window_size, block.shift_size, strict=True):
        position = torch.arange(count * window, device=device)
        came_around.append((position >= count * window - shift).long().view(count, window))
    regions = 2 * came_around[0][:, None, :, None] + came_around[1][None, :, None, :]
    return regions.flatten(2).flatten(0, 1)


def _mask(regions: Tensor) -> Tensor:
    """``[windows, N, N]``: -100 between tokens that the shift brought together from opposite sides of the image."""
    return -100.0 * (regions[:, :, None] != regions[:, None, :]).float()
