import copy
import re

import pytest
import timm
import torch
from torch import nn

from mtl.models.adapters import MTLoRALinear
from mtl.models.backbones import SwinBackbone
from mtl.protocols import adapter_parameters
from mtl.structures import SHARED


def slow_block(block, x, tasks):
    """One task-stream block as the paper draws it: a loop over streams, projections inside the windows.

    ``block`` is a TaskStreamBlock, ``x`` the shared stream [B, H, W, C]. Mode `matrix`.
    """
    inner = copy.deepcopy(block.block)

    class Projection(nn.Module):
        """What replaces the projection inside timm's window attention, for one stream."""

        def __init__(self, update):
            super().__init__()
            self.update = update

        def forward(self, windows):
            return windows @ block.proj.weight.T + block.proj.bias + self.update(windows)

    def updates(layer):
        return {SHARED: layer.shared, **{task: layer.tasks[task] for task in tasks}}

    after_attention = {}
    for name, update in updates(block.proj).items():
        inner.attn.proj = Projection(update)
        after_attention[name] = x + inner._attn(inner.norm1(x))
    normed = {name: inner.norm2(value) for name, value in after_attention.items()}

    def linear(layer, inputs):
        base = inputs[SHARED] @ layer.weight.T + layer.bias
        return {name: base + update(inputs[name]) for name, update in updates(layer).items()}

    hidden = {name: inner.mlp.act(value) for name, value in linear(inner.mlp.fc1, normed).items()}
    output = linear(inner.mlp.fc2, hidden)
    return {name: after_attention[name] + output[name] for name in output}


def test_streams_follow_the_paper(micro_backbone):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2)).double()
    image = torch.randn(2, 3, 64, 48, dtype=torch.double)
    x = backbone.swin.patch_embed(image)
    for index, (stage, level) in enumerate(zip(backbone.swin.layers, backbone(image).levels, strict=True)):
        for block in stage.blocks[:-1]:
            x = block(x)
        streams = slow_block(stage.blocks[-1], x, backbone.tasks)
        if index == 0:
            streams = {name: backbone.swin.layers[1].downsample(value) for name, value in streams.items()}
        # nobody reads the shared stream of the last stage
        assert level.streams == ((SHARED, 'semseg', 'normals') if index == 0 else ('semseg', 'normals'))
        for name, value in streams.items():
            if name not in level.streams:
                continue
            torch.testing.assert_close(level.features[level.streams.index(name)], value.permute(0, 3, 1, 2))
        x = streams[SHARED]


def test_bare_backbone_is_timms(micro_backbone):
    backbone = micro_backbone()
    reference = timm.create_model(
        'swin_tiny_patch4_window7_224',
        num_classes=0,
        img_size=(56, 56),
        embed_dim=12,
        depths=(2, 2),
        num_heads=(2, 4),
    ).eval()
    state = {re.sub(r'blocks\.1\.(proj|block)\.', r'blocks.1.\1.', k): v for k, v in backbone.swin.state_dict().items()}
    state = {k.replace('.1.block.', '.1.').replace('blocks.1.proj', 'blocks.1.attn.proj'): v for k, v in state.items()}
    assert not reference.load_state_dict(state, strict=False).unexpected_keys
    image = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        stage_outputs = reference.forward_intermediates(image, intermediates_only=True)
        expected = [reference.layers[1].downsample(stage_outputs[0].permute(0, 2, 3, 1)), stage_outputs[1]]
        levels = backbone(image).levels
    assert [level.streams for level in levels] == [(SHARED,), (SHARED,)]
    torch.testing.assert_close(levels[0].features[0].permute(0, 2, 3, 1), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(levels[1].features[0], expected[1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('name', ['swin_tiny_patch4_window7_224', 'swin_large_patch4_window12_384'])
def test_variants(name):
    with torch.device('meta'):
        swin = timm.create_model(name, num_classes=0)
    widths = [stage.blocks[0].dim for stage in swin.layers]
    backbone = SwinBackbone(
        name, img_size=384, pretrained=None, allow_random_init=True, embed_dim=24, num_heads=(2, 4, 8, 16)
    )
    window = swin.layers[0].blocks[0].window_size
    assert backbone.swin.layers[0].blocks[0].window_size == window
    assert backbone.channels == tuple(width * 24 // widths[0] for width in (*widths[1:], widths[-1]))
    assert backbone.strides == (8, 16, 32, 32)


def test_only_the_tasks_asked_for(micro_backbone):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2))
    image = torch.randn(1, 3, 64, 64)
    everything, some = backbone(image), backbone(image, ('normals',))
    for full, part in zip(everything.levels, some.levels, strict=True):
        assert part.streams == tuple(name for name in full.streams if name != 'semseg')
        torch.testing.assert_close(part.of('normals'), full.of('normals'))


def test_rank_by_stage_and_task(micro_backbone):
    backbone = micro_backbone(adapters=dict(rank=[2, 4], task_rank=[0, {'semseg': 3, 'normals': 0}]))
    first, second = backbone(torch.randn(1, 3, 64, 64)).levels
    assert first.streams == (SHARED,)
    assert second.streams == (SHARED, 'semseg')
    torch.testing.assert_close(second.of('normals'), second.features[0])
    assert backbone.swin.layers[0].blocks[0].mlp.fc1.shared.rank == 2
    assert backbone.swin.layers[1].blocks[1].block.mlp.fc1.tasks['semseg'].rank == 3


@pytest.mark.parametrize('target', ['qkv', 'proj', 'fc1', 'fc2', 'reduction'])
def test_each_placement_alone(micro_backbone, target):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2, targets=[target]))
    adapted = {name.rsplit('.', 1)[-1] for name, m in backbone.named_modules() if isinstance(m, MTLoRALinear)}
    assert adapted == {target}
    levels = backbone(torch.randn(1, 3, 64, 64)).levels
    has_streams = target in ('proj', 'fc1', 'fc2')
    assert all((backbone.tasks == level.streams[-2:]) == has_streams for level in levels)
    if has_streams:
        assert all(not torch.allclose(level.of('semseg'), level.of('normals')) for level in levels)


def test_addition_runs_every_task_stream(micro_backbone):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2, mode='addition'))
    image = torch.randn(1, 3, 64, 64)
    for full, part in zip(backbone(image).levels, backbone(image, ('normals',)).levels, strict=True):
        torch.testing.assert_close(part.of('normals'), full.of('normals'))


def test_what_trains(micro_backbone):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2), trainable=('norms', 'reductions'))
    adapters = {id(parameter) for parameter in adapter_parameters(backbone)}
    for name, parameter in backbone.named_parameters():
        expected = id(parameter) in adapters or '.norm' in name or 'reduction' in name
        assert parameter.requires_grad == expected, name
    plus = micro_backbone(
        adapters=dict(rank=3, task_rank=2, targets=('qkv', 'reduction')), trainable=('norms', 'reductions')
    )
    assert not plus.swin.layers[1].downsample.reduction.weight.requires_grad
    with pytest.raises(ValueError, match='patch_embed, norms'):
        micro_backbone(trainable=('norm',))


def test_another_network_is_refused_by_name():
    with pytest.raises(ValueError, match='is a SwinTransformerV2'):
        SwinBackbone('swinv2_tiny_window8_256', 64, embed_dim=8, depths=(1, 1), num_heads=(1, 1))


def test_wrong_input_size_names_the_right_one(micro_backbone):
    with pytest.raises(ValueError, match='multiples of 8; found'):
        micro_backbone()(torch.randn(1, 3, 60, 60))


def test_a_task_without_factors_runs_alone(micro_backbone):
    """It reads the shared stream, of a block where other tasks have their own."""
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=dict(semseg=2, normals=0))).double()
    image = torch.randn(1, 3, 56, 56).double()
    alone, together = backbone(image, ('normals',)), backbone(image)
    assert all(level.streams == ('shared',) for level in alone.levels)
    torch.testing.assert_close(alone.of('normals'), together.of('normals'))
