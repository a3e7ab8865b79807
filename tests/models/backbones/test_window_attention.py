"""Every way through the attention gives timm's numbers, for every shift and size."""

import copy
import pickle

import pytest
import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mtl.models.backbones.swin.window_block import WindowBlock, use_windowed_attention, windowed_attention
from mtl.ops import window_attention

SDPA = 'aten::scaled_dot_product_attention'


def make_block(resolution=(28, 28), shift=3, **options):
    torch.manual_seed(0)
    block = SwinTransformerBlock(12, resolution, num_heads=2, shift_size=shift, dynamic_mask=True, **options)
    nn.init.normal_(block.attn.relative_position_bias_table)
    return block.eval()


def kernels(work):
    with profile(activities=[ProfilerActivity.CPU]) as events:
        work()
    return {event.key for event in events.key_averages()}


# with a window as large as one side, timm shifts along the other only
@pytest.mark.parametrize('resolution', [(28, 28), (7, 28)])
@pytest.mark.parametrize('shift', [0, 3])
@pytest.mark.parametrize('size', [(14, 14), (15, 20), (7, 30), (3, 5)])
@pytest.mark.parametrize('scores', [1, 3 * 2 * 49 * 49, 2**19])
def test_equals_timm(monkeypatch, resolution, shift, size, scores):
    monkeypatch.setattr(window_attention, 'SCORES', scores)  # one window, three, or all at a time
    block, x = make_block(resolution, shift), torch.randn(2, *size, 12)
    expected = block._attn(x)
    torch.testing.assert_close(windowed_attention(block, x), expected)
    with torch.no_grad():
        torch.testing.assert_close(windowed_attention(block, x), expected)
    block.attn.relative_position_bias_table.requires_grad_(False)
    torch.testing.assert_close(windowed_attention(block, x), expected)


def test_gradients_equal_timms():
    block, x = make_block(), torch.randn(2, 15, 20, 12, requires_grad=True)
    block.double()
    x = x.double()

    def gradients(attend):
        return torch.autograd.grad(attend(x).sin().sum(), (x, *block.attn.parameters()))

    torch.testing.assert_close(gradients(lambda x: windowed_attention(block, x)), gradients(block._attn))


@pytest.mark.filterwarnings('ignore:TF32')
def test_which_way_is_taken():
    block, x = make_block(), torch.randn(1, 14, 14, 12)
    assert SDPA not in kernels(lambda: windowed_attention(block, x)), 'the position bias needs a gradient'
    with torch.no_grad():
        found = kernels(lambda: windowed_attention(block, x))
        assert SDPA not in found, 'in the cache'
        assert 'aten::baddbmm' in found
        with torch.autocast('cpu', torch.bfloat16):
            assert SDPA in kernels(lambda: windowed_attention(block, x))
    block.attn.relative_position_bias_table.requires_grad_(False)
    assert SDPA in kernels(lambda: windowed_attention(block, x)), 'only the other parameters need gradients'


def test_autocast():
    block, x = make_block(), torch.randn(2, 15, 20, 12)
    with torch.no_grad():
        exact = block._attn(x)
        with torch.autocast('cpu', torch.bfloat16):
            timms = (block._attn(x).float() - exact).abs().max()
            found = windowed_attention(block, x)
    assert found.dtype == torch.bfloat16
    assert (found.float() - exact).abs().max() < 2 * timms


@pytest.mark.parametrize('trains_bias', [False, True])
def test_dropouts(trains_bias):
    """Of the attention weights and of the output."""
    block = make_block(attn_drop=1.0 - 1e-6, proj_drop=0.5).train()
    block.attn.relative_position_bias_table.requires_grad_(trains_bias)
    out = windowed_attention(block, torch.randn(2, 14, 14, 12))
    kept = out[out != 0]
    assert 0.4 < len(kept) / out.numel() < 0.6
    # every attention weight is dropped: what is left is the projection's bias, doubled for what proj_drop dropped
    torch.testing.assert_close(out, torch.where(out == 0, 0.0, 2 * block.attn.proj.bias.expand_as(out)))


def test_blocks_change_class_only():
    model = nn.ModuleList([make_block(), make_block(shift=0)])
    state, x = copy.deepcopy(model.state_dict()), torch.randn(1, 14, 14, 12)
    expected = [block(x) for block in model]
    use_windowed_attention(model)
    use_windowed_attention(model)  # a second time changes nothing
    assert {type(block) for block in model} == {WindowBlock}
    torch.testing.assert_close(dict(model.state_dict()), dict(state))
    for again in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close([block(x) for block in again], expected)
