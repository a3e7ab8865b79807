"""Adapters in networks of timm, against timm itself with the updates added to its weights, and against HF peft."""

import copy

import pytest
import torch
from tiny_timm import CONVOLUTIONAL, QUICK, SHARED_ONLY, TASKS, WITH_STREAMS, adapters_of, build, image_for

from mtl.models.adapters import LowRankConv2d, MTLoRALinear, merge_adapters, unmerge_adapters
from mtl.models.backbones.stream_block import StreamBlock
from mtl.protocols import AdapterLayer, adapter_parameters

LOW_RANK = ('vit', 'deit3', 'dinov2', 'dinov3', 'siglip')  # pre-norm blocks with a plain MLP and the exact GELU


NETWORKS = [
    pytest.param(kind, marks=() if kind in QUICK else pytest.mark.slow) for kind in (*WITH_STREAMS, *CONVOLUTIONAL)
]


def bare_network(backbone):
    """timm's own network with the weights of ``backbone``, all updates left out."""
    bare = copy.deepcopy(backbone)
    for place in bare.adaptable_layers():
        if isinstance(place.layer, AdapterLayer):
            layer, kind = place.layer, torch.nn.Conv2d if isinstance(place.layer, torch.nn.Conv2d) else torch.nn.Linear
            plain = torch.nn.Module.__new__(kind)
            plain.__dict__ = {k: v for k, v in layer.__dict__.items() if k != '_modules'} | {'_modules': {}}
            place.replace(plain)
    return bare


def levels_of(network, image):
    with torch.no_grad():
        return [level.features[0] for level in network(image, ()).levels]


@pytest.mark.parametrize('kind', NETWORKS)
def test_fresh_updates_change_nothing(kind):
    adapted, bare = (build(kind, adapters) for adapters in (adapters_of(kind), None))
    with torch.no_grad():
        for parameter in adapter_parameters(adapted):
            parameter.zero_()
    assert {*bare.state_dict()} < {*adapted.state_dict()}, "timm's names stay"
    adapted.load_state_dict(bare.state_dict(), strict=False)
    image = image_for(bare)
    levels = adapted(image).levels
    for level, expected in zip(levels, levels_of(bare, image), strict=True):
        for task in TASKS:
            torch.testing.assert_close(level.of(task), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('norm', [False, True])
@pytest.mark.parametrize('kind', NETWORKS[: len(WITH_STREAMS)])
def test_streams_are_those_of_timm_with_the_updates_in_its_weights(kind, norm):
    """The stream of a task is what timm gives where the last block of the level has the weights of the task."""
    backbone = build(kind, adapters_of(kind, rank=0, base_input='task'), norm=norm)
    image = image_for(backbone, images=2)
    with torch.no_grad():
        levels = backbone(image, (*TASKS, 'shared')).levels
    for stage, level in enumerate(levels):
        assert level.streams == ('shared', *TASKS)
        torch.testing.assert_close(level.of('shared'), levels_of(bare_network(backbone), image)[stage])
        for task in TASKS:
            merged = copy.deepcopy(backbone)
            for place in merged.adaptable_layers():
                if place.stage == stage and place.starts_streams:
                    place.layer.merge(task)
            expected = levels_of(bare_network(merged), image)[stage]
            assert not torch.allclose(expected, level.of('shared'), atol=1e-3)
            torch.testing.assert_close(level.of(task), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', NETWORKS[: len(WITH_STREAMS)])
def test_streams_of_low_rank_are_those_written_out(kind, monkeypatch):
    backbone, low = build(kind, adapters_of(kind)), []
    image, plain = image_for(backbone), StreamBlock.differs_by_low_rank
    monkeypatch.setattr(StreamBlock, 'differs_by_low_rank', lambda *a: low.append(plain(*a)) or low[-1])
    levels = backbone(image).levels
    assert any(low) == (kind in LOW_RANK)
    monkeypatch.setattr(StreamBlock, 'differs_by_low_rank', lambda *a: False)
    for level, expected in zip(levels, backbone(image).levels, strict=True):
        assert level.streams == expected.streams
        torch.testing.assert_close(level.features, expected.features, atol=1e-5, rtol=1e-5)
    assert levels[-1].streams == TASKS, 'nobody reads the last shared stream'


def with_peft(backbone):
    """The same network with HF peft's layers, of the same factors, and the pairs (our factor, theirs) by name."""
    peft = pytest.importorskip('peft')
    layers = {name: layer for name, layer in backbone.network.named_modules() if isinstance(layer, AdapterLayer)}
    assert {type(layer) for layer in layers.values()} <= {MTLoRALinear, LowRankConv2d}
    reference = bare_network(backbone)
    config = peft.LoraConfig(r=3, lora_alpha=3 * 2.0, target_modules=list(layers))
    reference.network = peft.get_peft_model(reference.network, config).eval().base_model.model
    reference.has_streams, pairs = False, {}
    for name, layer in layers.items():
        theirs = reference.network.get_submodule(name)
        for key, mine, other in (('A', layer.shared.A, theirs.lora_A), ('B', layer.shared.B, theirs.lora_B)):
            weight = other['default'].weight
            weight.data.copy_(mine.view_as(weight))
            pairs[f'{name}.{key}'] = mine, weight
    return reference, pairs


@pytest.mark.parametrize('kind', NETWORKS)
def test_shared_updates_are_those_of_peft(kind):
    backbone = build(kind, SHARED_ONLY)
    image = image_for(backbone)
    reference, _ = with_peft(backbone)
    levels = (levels_of(network, image) for network in (backbone, reference, bare_network(backbone)))
    for mine, theirs, without in zip(*levels, strict=True):
        assert (mine - theirs).abs().max() <= 1e-6 * max(1, theirs.abs().max())
        assert (mine - without).abs().max() > 1e-3 * without.abs().max()


@pytest.mark.parametrize('kind', NETWORKS)
def test_gradients_of_shared_updates_are_those_of_peft(kind):
    backbone = build(kind, SHARED_ONLY, trainable=[])
    reference, pairs = with_peft(backbone)
    image = image_for(backbone, images=2)
    for network in (backbone, reference):
        sum(level.features.square().mean() for level in network(image, ()).levels).backward()
    assert {id(mine) for mine, _ in pairs.values()} == {id(p) for p in backbone.parameters() if p.requires_grad}
    for mine, theirs in pairs.values():
        assert theirs.grad.any()
        assert (mine.grad.view_as(theirs) - theirs.grad).abs().max() <= 1e-5 * theirs.grad.abs().max()


@pytest.mark.parametrize('kind', NETWORKS)
def test_merged_updates_give_the_same(kind):
    backbone = build(kind, adapters_of(kind, base_input='task') if kind in WITH_STREAMS else SHARED_ONLY)
    image, weights = image_for(backbone), {k: v.clone() for k, v in backbone.state_dict().items()}
    for task in (None, TASKS[0] if kind in WITH_STREAMS else None):
        wanted = backbone(image, ('shared',) if task is None else (task,)).levels
        report = merge_adapters(backbone, task)
        assert report.merged
        assert not report.kept
        found = backbone(image, ('shared',) if task is None else (task,)).levels
        unmerge_adapters(backbone)
        for level, expected in zip(found, wanted, strict=True):
            name = 'shared' if task is None else task
            torch.testing.assert_close(level.of(name), expected.of(name), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(dict(backbone.state_dict()), weights, atol=0, rtol=0)


@pytest.mark.parametrize('kind', NETWORKS)
def test_a_step_moves_the_adapters_alone(kind):
    backbone = build(kind, adapters_of(kind, dropout=0.1), trainable=[]).train()
    assert {id(p) for p in backbone.parameters() if p.requires_grad} == {id(p) for p in adapter_parameters(backbone)}
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    levels = backbone(image_for(backbone, images=2), (*TASKS, 'shared')).levels
    sum(level.features.square().mean() for level in levels).backward()
    torch.optim.SGD(adapter_parameters(backbone), 1.0).step()
    moved = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name, p in backbone.named_parameters() if p.requires_grad}


@pytest.mark.parametrize('kind', NETWORKS)
def test_recomputing_blocks_changes_no_gradient(kind):
    gradients = []
    for checkpoint_blocks in (False, True):
        backbone = build(kind, adapters_of(kind), trainable=[], checkpoint_blocks=checkpoint_blocks).train()
        sum(level.features.square().mean() for level in backbone(image_for(backbone, images=2)).levels).backward()
        gradients.append({name: p.grad for name, p in backbone.named_parameters() if p.grad is not None})
    torch.testing.assert_close(*gradients)
    assert gradients[0]


def test_stochastic_depth_and_dropout_of_streams():
    """Each stream drops its own branches; without a branch a stream is what enters the block."""
    backbone = build('dinov2', adapters_of('dinov2'), drop_path_rate=0.3, proj_drop_rate=0.1).train()
    image = image_for(backbone, images=4)
    torch.manual_seed(0)
    first = backbone(image).levels[-1].features
    assert torch.isfinite(first).all()
    assert not torch.equal(first, backbone(image).levels[-1].features)
    backbone.network.blocks[-1].drop_path1.drop_prob = backbone.network.blocks[-1].drop_path2.drop_prob = 1.0
    backbone.network.blocks[-1].attn.proj_drop.p = 0.0
    last = backbone(image).levels[-1]
    torch.testing.assert_close(last.of(TASKS[0]), last.of(TASKS[1]))


def test_a_subset_of_the_tasks():
    backbone = build('dinov3', adapters_of('dinov3', task_rank=dict(saliency=2, normals=0)))
    image = image_for(backbone)
    whole, alone = backbone(image).levels, backbone(image, ('saliency',)).levels
    for level, one in zip(whole, alone, strict=True):
        torch.testing.assert_close(level.of('saliency'), one.of('saliency'))
    assert [level.streams for level in alone] == [('shared', 'saliency')] * 3 + [('saliency',)]
    assert whole[-1].streams == ('shared', 'saliency')  # read by the other task
    assert [level.streams for level in backbone(image, ('normals',)).levels] == [('shared',)] * 4


@pytest.mark.parametrize('kind', CONVOLUTIONAL)
def test_streams_that_can_begin_nowhere(kind):
    with pytest.raises(ValueError, match=r'can begin nowhere.*task_rank=0'):
        build(kind, dict(rank=2, targets=('fc2', 'conv', 'proj')))


def test_roles_that_a_network_does_not_have():
    with pytest.raises(ValueError, match=r'for qkv, proj, but TimmBackbone has layers of the roles conv'):
        build('resnet', dict(rank=2, task_rank=0, targets=('qkv', 'proj')))
    with pytest.raises(ValueError, match='stands behind a linear layer'):
        build('resnet', dict(type='Bottleneck', targets=('conv',)))


def test_ranks_by_level():
    backbone = build('dinov2', adapters_of('dinov2', rank=(0, 1, 2, 3), task_rank=0), depth=8)
    ranks = [place.layer.shared.rank for place in backbone.adaptable_layers() if isinstance(place.layer, AdapterLayer)]
    assert ranks == [1] * 8 + [2] * 8 + [3] * 8  # two blocks of four layers each
