"""Running at a width: what it changes, what it leaves, where gradients go."""

import random

import pytest
import torch

from mtl.models.slimmable import WidthConfig, WidthError
from mtl.models.slimmable.materialize import materialize
from mtl.registry import MODELS

IMAGES = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(5))


def heads_of(model):
    return [module.num_heads for module in model.modules() if hasattr(module, 'num_heads')]


def test_everything_is_back_afterwards(slimmable):
    model, _ = slimmable()
    before = dict(model.named_parameters())
    heads = heads_of(model)
    with model.at_width('small') as width:
        assert model.width == width == model.space.small
        assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in before.values())
    with pytest.raises(RuntimeError), model.at_width('small'):
        model.logits(IMAGES[:, :2])
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert heads == heads_of(model)
    assert model.width is None


def test_full_width_is_the_network(slimmable):
    model, _ = slimmable()
    with torch.no_grad(), model.at_width('full'):
        at_full = model.logits(IMAGES)
    with torch.no_grad():
        assert all(torch.equal(at_full[task], values) for task, values in model.logits(IMAGES).items())


def test_gradients_reach_the_prefix_only(slimmable):
    model, _ = slimmable()
    with model.at_width('small'):
        sum(values.square().mean() for values in model.logits(IMAGES).values()).backward()
    fc1, fuse = model.backbone.swin.layers[0].blocks[0].mlp.fc1, model.decoder.decoders['semseg'].fuse
    for gradient, full in ((fc1.weight.grad, 48), (fuse.weight.grad, 16), (model.heads['semseg'].weight.grad[0], 16)):
        used = gradient.flatten(1).abs().sum(1) > 0
        count = {48: 10, 16: 4}[full]
        assert used[:count].any()
        assert not used[count:].any()
    qkv = model.backbone.swin.layers[1].blocks[0].attn.qkv.weight.grad.unflatten(0, (3, 6, 4))
    assert qkv[:, 0].abs().sum((1, 2)).min() > 0  # the one head of six, in query, key and value
    assert qkv[:, 1:].abs().max() == 0


def test_shapes_in_closed_form(slimmable):
    model, options = slimmable()
    table, full = model.width_table(), {name: value.shape for name, value in model.state_dict().items()}
    for seed in range(5):
        width = model.space.sample(random.Random(seed))
        _, state = materialize(model, options, width)
        for name, value in state.items():
            assert value.shape == table.shape(name, full[name], width), name


def test_materialised_networks_are_smaller(slimmable):
    model, options = slimmable()
    sizes = []
    for ratio in (0.25, 0.5, 0.75, 1.0):
        width = WidthConfig.uniform(ratio, 2, model.tasks)
        _, state = materialize(model, options, width)
        sizes.append(sum(value.numel() for value in state.values()))
    assert sizes == sorted(set(sizes))
    _, alone = materialize(model, options, model.space.small, ['semseg'])
    assert sum(value.numel() for value in alone.values()) < 0.8 * sizes[0]


def test_widths_that_do_not_fit(slimmable):
    model, _ = slimmable()
    with pytest.raises(WidthError, match='already'), model.at_width('small'), model.at_width('full'):
        pass
    with pytest.raises(WidthError, match=r'0\.3 is not among the decoder ratios .*: 0\.25, 0\.5, 0\.75, 1'):
        model.at_width(dict(encoder=[1.0, 1.0], decoder=dict(semseg=0.3))).__enter__()
    with model.at_width(dict(encoder=[1.0, 1.0], decoder=dict(semseg=0.5))):
        assert model.logits(IMAGES, ['semseg'])['semseg'].shape == (2, 3, 32, 40)
        with pytest.raises(WidthError, match='no ratio for normals, saliency; it has semseg'):
            model.logits(IMAGES)


def test_batch_norm_needs_declared_widths(slimmable):
    with pytest.raises(WidthError, match=r'BatchNorm.*list the decoder ratios instead of allowing any from 0\.5'):
        slimmable(slimming=dict(decoder=0.5))
    model, _ = slimmable()
    del model.decoder.decoders['normals'].norm.statistics['8']
    with pytest.raises(WidthError, match=r'exist for 4, 12, 16 channels only, not for 8 \(ratio 0\.5\)'):
        model.at_width(WidthConfig.uniform(0.5, 2, model.tasks)).__enter__()


def test_group_norm_needs_equal_groups():
    norm = dict(type='GN', num_groups=4)
    options = dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16, norm_cfg=norm)
    decoder = MODELS.build(dict(in_channels=(24, 24), tasks=('semseg',), **options))
    assert decoder.width_table(multiple=4).tensors['decoders.semseg.norm.weight']
    with pytest.raises(WidthError, match=r'normalises 4 groups .* multiples of 4 .*; found 2'):
        decoder.width_table(multiple=2)


def test_networks_that_do_not_slim(slimmable):
    _, options = slimmable()
    decoder = dict(type='MMSegDecoder', head=dict(type='mmseg.FCNHead', channels=8, num_convs=1, in_index=0))
    with pytest.raises(WidthError, match='MMSegDecoder does not say what slims in it'):
        MODELS.build({**options, 'decoder': decoder})


def test_statistics_of_widths_are_apart(slimmable):
    model, _ = slimmable()
    norm = model.decoder.decoders['semseg'].norm
    before = {name: value.clone() for name, value in norm.named_buffers()}
    model.train()
    with model.at_width(WidthConfig.uniform(0.5, 2, model.tasks)):
        model.logits(IMAGES)
    changed = {name for name, value in norm.named_buffers() if not torch.equal(value, before[name])}
    assert changed == {f'statistics.8.{name}' for name in ('running_mean', 'running_var', 'num_batches_tracked')}
