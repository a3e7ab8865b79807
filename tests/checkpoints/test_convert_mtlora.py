"""Converted checkpoints of the published code give the published network: outputs and gradients."""

import pytest
import torch
from published_oracle import PublishedNetwork, published_state

from mtl.checkpoints.convert_mtlora import convert_mtlora, convert_swin, published_options
from mtl.checkpoints.describe import describe_backbone
from mtl.checkpoints.swin_keys import UnknownKeyError
from mtl.models import SwinBackbone
from mtl.registry import MODELS
from mtl.structures import SHARED

TASKS = ('sal', 'colour')
OURS = ('saliency', 'colour')
SIZES = dict(depths=(2, 2), heads=(2, 4))
MODES = [('matrix', False), ('matrixv2', False), ('addition', False), ('matrix', True)]


def make_state(mode='matrix', plus=False):
    return published_state(**SIZES, width=12, tasks=TASKS, ranks=(3, 2), mode=mode, plus=plus)


@pytest.mark.parametrize(('mode', 'plus'), MODES)
def test_whole_network(mode, plus):
    state = {key: value.requires_grad_(True) for key, value in make_state(mode, plus).items()}
    converted = convert_mtlora(state, {'sal': 'saliency'})
    assert not converted.dropped
    description = describe_backbone(converted.state)
    description['adapters'] |= dict(scale=1.5, task_scale=0.5, mode=mode)
    backbone = SwinBackbone(
        pretrained=None, allow_random_init=True, img_size=56, tasks=OURS, drop_path_rate=0.0, **description
    )
    backbone.double().eval().requires_grad_(True)
    backbone.load_state_dict({key.removeprefix('backbone.'): value for key, value in converted.state.items()})

    image = torch.randn(2, 3, 56, 56, dtype=torch.double)
    levels = backbone(image, (SHARED, *OURS)).levels
    expected = PublishedNetwork(state, **SIZES, tasks=TASKS, mode=mode, scale=1.5, task_scale=0.5)(image)
    loss, published_loss = 0.0, 0.0
    for level, (shared, streams) in zip(levels, expected, strict=True):
        for name, value in zip((SHARED, *OURS), (shared, *streams.values()), strict=True):
            value = value.permute(0, 3, 1, 2)
            torch.testing.assert_close(level.of(name), value, rtol=1e-8, atol=1e-8)
            weight = torch.randn_like(value)
            loss, published_loss = loss + (level.of(name) * weight).sum(), published_loss + (value * weight).sum()
    loss.backward()
    published_loss.backward()
    gradients = convert_mtlora({key: value.grad for key, value in state.items()}, {'sal': 'saliency'}).state
    parameters = dict(backbone.named_parameters())
    assert {f'backbone.{name}' for name in parameters} == set(gradients)
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.grad, gradients[f'backbone.{name}'], rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize(('mode', 'plus'), MODES)
def test_the_config_is_read_off_the_weights(mode, plus):
    description = describe_backbone(convert_mtlora(make_state(mode, plus)).state)
    adapters = description.pop('adapters')
    assert description == dict(patch_size=4, embed_dim=12, depths=(2, 2), num_heads=(2, 4), window_size=7)
    assert adapters['rank'] == 3
    assert adapters['task_rank'] == 2
    assert adapters['targets'] == ('qkv', 'proj', 'fc1', 'fc2', *(('reduction',) if plus else ()))
    assert adapters.get('mode') == ('addition' if mode == 'addition' else None)


def whole_checkpoint():
    """Backbone, per-task decoders and what the published code stores besides, for a network of four levels."""
    sizes = dict(depths=(1, 1, 1, 2), heads=(1, 1, 2, 2))
    state = {
        f'backbone.{key}': value.float()
        for key, value in published_state(**sizes, width=4, tasks=TASKS, ranks=(3, 2)).items()
    }
    state['backbone.layers.3.blocks.1.attn_mask'] = torch.zeros(1, 49, 49)
    state['backbone.layers.0.blocks.0.attn.relative_position_index'] = torch.zeros(49, 49, dtype=torch.long)
    state['backbone.head.weight'] = torch.zeros(10, 32)
    channels, projected = (8, 16, 32, 32), (2, 3, 4, 5)
    for task, classes in zip(TASKS, (1, 6), strict=True):
        for level, (c_in, c_out) in enumerate(zip(channels, projected, strict=True)):
            state[f'downsampler.{task}.downsample_{level}.weight'] = torch.randn(c_out, c_in, 1, 1)
        head = f'decoders.decoders.{task}.last_layer'
        state |= {f'{head}.0.weight': torch.randn(20, 14, 1, 1), f'{head}.0.bias': torch.randn(20)}
        state |= {f'{head}.1.{name}': torch.rand(20) for name in ('weight', 'bias', 'running_mean', 'running_var')}
        state |= {f'{head}.1.num_batches_tracked': torch.tensor(7)}
        state |= {f'{head}.3.weight': torch.randn(classes, 20, 1, 1), f'{head}.3.bias': torch.randn(classes)}
    return state


def whole_model():
    return MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=dict(
                saliency=dict(type='Saliency'), colour=dict(type='SemanticSegmentation', classes=list('abcdef'))
            ),
            backbone=dict(
                type='SwinBackbone',
                pretrained=None,
                allow_random_init=True,
                img_size=224,
                embed_dim=4,
                depths=(1, 1, 1, 2),
                num_heads=(1, 1, 2, 2),
                adapters=dict(rank=3, task_rank=2),
            ),
            decoder=dict(type='HRNetDecoder', level_channels=(2, 3, 4, 5), out_channels=20),
        )
    )


def test_decoders_and_heads():
    """Every tensor of our network comes from the checkpoint, and the published head gives the same logits."""
    state = {key: value.double() for key, value in whole_checkpoint().items()}
    converted = convert_mtlora(state, {'sal': 'saliency'})
    assert set(converted.dropped) == {
        'backbone.layers.3.blocks.1.attn_mask',
        'backbone.layers.0.blocks.0.attn.relative_position_index',
        'backbone.head.weight',
    }
    assert len(converted.state) == len(state) - 3
    model = whole_model().double().eval()
    model.load_state_dict(converted.state)
    image = torch.randn(1, 3, 224, 224, dtype=torch.double)
    with torch.no_grad():
        logits = model.logits(image)
        features = model.backbone(image, OURS)
        for task, ours in zip(TASKS, OURS, strict=True):
            maps = [
                torch.nn.functional.conv2d(level, state[f'downsampler.{task}.downsample_{index}.weight'])
                for index, level in enumerate(features.of(ours))
            ]
            size = maps[0].shape[-2:]
            x = torch.cat([torch.nn.functional.interpolate(m, size, mode='bilinear') for m in maps], 1)
            head = f'decoders.decoders.{task}.last_layer'
            x = torch.nn.functional.conv2d(x, state[f'{head}.0.weight'], state[f'{head}.0.bias'])
            norm = [state[f'{head}.1.{name}'] for name in ('running_mean', 'running_var', 'weight', 'bias')]
            x = torch.nn.functional.batch_norm(x, *norm).relu()
            x = torch.nn.functional.conv2d(x, state[f'{head}.3.weight'], state[f'{head}.3.bias'])
            expected = torch.nn.functional.interpolate(x, (224, 224), mode='bilinear')
            torch.testing.assert_close(logits[ours], expected)


def test_a_projection_that_tasks_share_goes_to_each():
    state = whole_checkpoint()
    for level in range(4):
        state[f'downsampler.downsample_{level}.weight'] = state.pop(f'downsampler.sal.downsample_{level}.weight')
        del state[f'downsampler.colour.downsample_{level}.weight']
    converted = convert_mtlora(state).state
    for task in TASKS:
        assert torch.equal(
            converted[f'decoder.decoders.{task}.projections.2.weight'], state['downsampler.downsample_2.weight']
        )


def test_trained_scales():
    state = make_state()
    state['layers.0.blocks.1.mlp.fc1.lora_shared_scale'] = torch.tensor([2.0])
    state['layers.0.blocks.1.mlp.fc1.lora_task_scale.colour'] = torch.tensor([3.0])
    converted = convert_mtlora(state).state
    assert converted['backbone.swin.layers.0.blocks.1.block.mlp.fc1.shared.scale'] == 2
    assert converted['backbone.swin.layers.0.blocks.1.block.mlp.fc1.tasks.colour.scale'] == 3
    adapters = describe_backbone(converted)['adapters']
    assert adapters['trainable_scale']
    assert adapters['trainable_task_scale']
    state = make_state('addition')
    state['layers.0.blocks.1.mlp.fc1.lora_shared_scale'] = torch.tensor([2.0])
    assert 'addition' in convert_mtlora(state).dropped['backbone.layers.0.blocks.1.mlp.fc1.lora_shared_scale']


@pytest.mark.parametrize(
    'key',
    [
        'layers.0.blocks.0.attn.qkv.q.linear.weight',
        'layers.0.blocks.0.mlp.fc3.lora_shared_A',
        'layers.0.blocks.0.mlp.fc1.lora_router',
        'decoders.decoders.sal.linear_pred.weight',
        'absolute_pos_embed',
    ],
)
def test_an_unknown_key_is_an_error(key):
    state = whole_checkpoint()
    key = key if key.startswith('decoders') else f'backbone.{key}'
    with pytest.raises(UnknownKeyError, match=key):
        convert_mtlora({**state, key: torch.zeros(1)})


def test_renaming_a_task_that_is_not_there():
    with pytest.raises(ValueError, match='it has sal, colour'):
        convert_mtlora(make_state(), {'saliency': 'sal'})


def test_what_masks_and_stored_config_tell():
    state = {**make_state(), 'layers.0.blocks.1.attn_mask': torch.zeros(4, 49, 49)}
    told = dict(
        SHARED_MODE='matrixv2',
        SHARED_SCALE=[4.0, 4.0],
        DROPOUT=[0.05, 0.05],
        SCALE_PER_TASK_LIST=[{'sal': 1.0, 'colour': 2.0}] * 2,
    )
    options = published_options(
        describe_backbone(convert_mtlora(state, {'sal': 'saliency'}).state),
        state,
        dict(MODEL=dict(MTLORA=told)),
        {'sal': 'saliency'},
    )
    assert options['img_size'] == 56
    assert options['adapters']['mode'] == 'matrixv2'
    assert options['adapters']['task_scale'] == [{'saliency': 1.0, 'colour': 2.0}] * 2
    SwinBackbone(pretrained=None, allow_random_init=True, tasks=OURS, **options)


def test_a_bare_swin_of_the_other_kind():
    state = {'layers.0.blocks.0.norm1.weight': torch.ones(3), 'layers.1.blocks.0.norm1.weight': torch.ones(3)}
    with pytest.raises(ValueError, match='of kind timm, not swin'):
        convert_swin({**state, 'layers.1.downsample.norm.weight': torch.ones(3)}, original=True)
    with pytest.raises(ValueError, match='of kind swin, not timm'):
        convert_swin({**state, 'layers.0.downsample.norm.weight': torch.ones(3)}, original=False)
