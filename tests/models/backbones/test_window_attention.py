"""Attention that can be traced is timm's, for every shift and size."""

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock

from mtl.models.backbones.window_attention import windowed_attention


@pytest.mark.parametrize('shift', [0, 3])
@pytest.mark.parametrize('size', [(14, 14), (15, 20), (7, 30), (3, 5)])
def test_equals_timm(shift, size):
    torch.manual_seed(0)
    # with a window as large as one side, timm shifts along the other only
    for resolution in ((28, 28), (7, 28)):
        block = SwinTransformerBlock(12, resolution, num_heads=2, window_size=7, shift_size=shift, dynamic_mask=True)
        torch.nn.init.normal_(block.attn.relative_position_bias_table)
        x = torch.randn(2, *size, 12)
        torch.testing.assert_close(windowed_attention(block, x), block._attn(x))
