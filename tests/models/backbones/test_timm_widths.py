"""Networks of timm at widths: run in place, cut out, sorted, counted."""

import copy
import random

import pytest
import torch
from tiny_timm import NETWORKS, RANDOM
from torch import nn

from mtl.models.accounting import count_macs
from mtl.models.adapters.folding import fold_adapters
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.materialize import materialize
from mtl.models.slimmable.width import WidthError
from mtl.protocols import adapter_parameters
from mtl.registry import MODELS
from mtl.search.cost_table import CostTable

TASKS = dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals'))
SLIM, WHOLE = ('vit', 'deit3', 'dinov2', 'siglip'), ('dinov2_gated', 'dinov3', 'eva02', 'swin_v2', 'convnext', 'resnet')
ADAPTERS = dict(rank=3, task_rank=2, base_input='task', dropout=0.0)


def config(kind, encoder, adapters=ADAPTERS):
    levels = 2 if kind == 'swin_v2' else 4
    return dict(
        type='MultiTaskModel',
        tasks=TASKS,
        backbone=dict(type='TimmBackbone', adapters=adapters, trainable=[], **RANDOM, **NETWORKS[kind]),
        decoder=dict(type='HRNetDecoder', level_channels=(4,) * levels, out_channels=16),
        slimming=dict(encoder=encoder, decoder=(0.5, 1.0), multiple=4),
    )


def build(kind, encoder=0.25, **options):
    torch.manual_seed(0)
    options = config(kind, encoder, **options)
    model = MODELS.build(copy.deepcopy(options)).eval()
    for parameter in adapter_parameters(model):
        nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model, options


def image_of(model):
    side = model.backbone.size_divisor
    return torch.randn(1, 3, 4 * side, 2 * side)


@pytest.mark.parametrize('kind', SLIM)
def test_a_width_is_the_network_cut_out(kind):
    model, options = build(kind)
    image, draw = image_of(model), random.Random(0)
    with torch.no_grad():
        full = model.logits(image)
        for _ in range(3):
            width = model.space.sample(draw)
            small_options, state = materialize(model, options, width)
            small = MODELS.build(copy.deepcopy(small_options)).eval()
            small.load_state_dict(state)
            with model.at_width(width):
                expected = model.logits(image)
            assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
            for task, values in small.logits(image).items():
                torch.testing.assert_close(values, expected[task], atol=1e-5, rtol=1e-5)
                assert not torch.allclose(values, full[task], atol=1e-3)


@pytest.mark.parametrize('kind', SLIM)
def test_sorting_changes_no_output_of_the_full_width(kind):
    model, _ = build(kind)
    image = image_of(model)
    with torch.no_grad():
        for block in model.backbone.network.blocks:  # the last heads and units matter most
            head = block.attn.head_dim
            block.attn.proj.weight[:, -head:] *= 5
            block.mlp.fc2.weight[:, -3:] *= 5
        before = model.logits(image)
        places = model.unit_order.clone()
        model.sort_units()
        after = model.logits(image)
    assert not torch.equal(model.unit_order, places)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('kind', ['dinov2', 'swin_v2', 'convnext'])
def test_costs_are_those_of_the_network_cut_out(kind):
    adapters = dict(ADAPTERS, task_rank=0, targets=('fc1', 'fc2')) if kind == 'convnext' else ADAPTERS
    model, options = build(kind, 0.25 if kind in SLIM else (1.0,), adapters=adapters)
    side, draw = model.backbone.size_divisor, random.Random(1)
    size = (4 * side, 2 * side)
    for merged in (False, True):
        table = CostTable(model, size, tuple(TASKS), merged)
        for _ in range(3):
            width = model.space.sample(draw)
            small_options, state = materialize(model, options, width)
            small = MODELS.build(copy.deepcopy(small_options)).eval()
            small.load_state_dict(state)
            if merged:
                fold_adapters(small.backbone, tuple(TASKS))
            expected = {'macs': count_macs(small, *size), 'parameters': sum(p.numel() for p in small.parameters())}
            assert table.of(width) == expected


@pytest.mark.parametrize('kind', WHOLE)
def test_a_network_that_stays_whole(kind):
    adapters = None if kind in ('convnext', 'resnet') else ADAPTERS
    with pytest.raises(WidthError, match=r'allows 0\.25 of the backbone, but TimmBackbone has no units.*\(1\.0,\)'):
        MODELS.build(config(kind, 0.25, adapters))
    model, _ = build(kind, (1.0,), adapters=adapters)
    with torch.no_grad(), model.at_width(WidthConfig((1.0,) * len(model.backbone.channels), dict.fromkeys(TASKS, 0.5))):
        assert set(model.logits(image_of(model))) == set(TASKS)
