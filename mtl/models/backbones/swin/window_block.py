"""timm's Swin block for images of any size."""

from __future__ import annotations

from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from mtl.ops.window_attention import WindowGrid, from_windows, into_windows, window_attention


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
    """Attention of ``block`` within (shifted) windows, ``[B, H, W, C]`` to ``[B, H, W, C]``.

    Where ``block.attn.proj`` is an ``Identity``, to ``[B, H, W, heads * head_dim]``.
    """
    attention = block.attn
    _, height, width, _ = x.shape
    grid = WindowGrid((height, width), block.window_size, block.shift_size)
    qkv = attention.qkv(into_windows(x, grid))
    dropout = attention.attn_drop.p if attention.training else 0.0
    out = window_attention(qkv, attention._get_rel_pos_bias()[0], attention.scale, grid, dropout)
    return from_windows(attention.proj_drop(attention.proj(out)), grid)
