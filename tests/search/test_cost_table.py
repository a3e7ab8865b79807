"""The cost table against counting the operations of the materialised network."""

import copy
import itertools
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtl.models.accounting import count_macs
from mtl.models.adapters.folding import fold_adapters
from mtl.models.backbones import SwinBackbone
from mtl.models.decoders import HRNetDecoder
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.materialize import materialize
from mtl.registry import MODELS
from mtl.search.cost_table import CostTable, inclusion_exclusion
from mtl.search.counting import CostError

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    normals=dict(type='SurfaceNormals'),
    saliency=dict(type='Saliency'),
)
BACKBONE = dict(
    type='SwinBackbone',
    img_size=(64, 64),
    embed_dim=8,
    depths=(2, 1, 2),
    num_heads=(2, 4, 4),
    window_size=5,
    drop_path_rate=0.0,
    pretrained=None,
    allow_random_init=True,
)
MTLORA = dict(type='MTLoRA', rank=3, task_rank=2)
PLUS = ('qkv', 'proj', 'fc1', 'fc2', 'reduction')
ADAPTERS = dict(
    none=None,
    mtlora=MTLORA,
    plus=dict(MTLORA, targets=PLUS, rank=[3, 0, 5]),
    own_base=dict(MTLORA, base_input='task'),
    v2=dict(MTLORA, mode='matrixv2', targets=PLUS),
    addition=dict(MTLORA, mode='addition'),
    lora_only=dict(MTLORA, mode='lora_only'),
    some_tasks=dict(MTLORA, task_rank=dict(semseg=4, normals=2, saliency=0)),
    some_stages=dict(MTLORA, task_rank=[0, 3, 2], rank=[2, 4, 0]),
    from_fc1=dict(MTLORA, targets=('qkv', 'fc1', 'fc2')),
    high_rank=dict(MTLORA, rank=24),  # the shared output of the last blocks is a product of its own
    bottleneck=dict(type='Bottleneck', reduction=4),
)
HRNET = dict(type='HRNetDecoder', level_channels=(4, 6, 70), out_channels=24)
TASK_EXPERT = dict(type='TaskExpertDecoder', channels=24, experts=3, expert_ratio=0.7)
DECODERS = dict(
    hrnet=HRNET,
    task_expert=TASK_EXPERT,
    shared_input=dict(TASK_EXPERT, expert_input='shared', gates='image', share_experts=True),
    own_resolution=dict(TASK_EXPERT, resolution='level', entries='levels'),
    no_memory=dict(TASK_EXPERT, memory=False, gates='static', upsampling=2),
)

_built = {}


def super_network(adapters, decoder):
    if (adapters, decoder) not in _built:
        options = dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone={**BACKBONE, 'adapters': ADAPTERS[adapters]},
            decoder=DECODERS[decoder],
            slimming=dict(encoder=0.1, decoder=(0.25, 0.5, 0.6, 1.0), multiple=4),
        )
        _built[adapters, decoder] = MODELS.build(copy.deepcopy(options)).eval(), options
    return _built[adapters, decoder]


def widths():
    decoder = st.fixed_dictionaries({task: st.sampled_from((0.25, 0.5, 0.6, 1.0)) for task in TASKS})
    return st.builds(WidthConfig, st.tuples(*[st.floats(0.1, 1.0)] * 3), decoder)


def counted(model, options, width, tasks, merged, size):
    """Multiplications and parameters of the materialised network, by running it."""
    small_options, state = materialize(model, options, width, tasks)
    small = MODELS.build(small_options)
    small.load_state_dict(state)
    small.eval()
    if merged:
        fold_adapters(small.backbone, tasks)
    return {'macs': count_macs(small, *size), 'parameters': sum(p.numel() for p in small.parameters())}


CASES = [
    *((adapters, 'hrnet') for adapters in ADAPTERS),
    *((adapters, 'task_expert') for adapters in ('none', 'mtlora', 'plus', 'own_base', 'some_tasks', 'some_stages')),
    *((adapters, 'own_resolution') for adapters in ('none', 'mtlora', 'some_tasks')),
    *((adapters, 'shared_input') for adapters in ('mtlora', 'plus', 'some_tasks', 'some_stages')),
    *((adapters, 'no_memory') for adapters in ('mtlora', 'some_tasks')),
]


@pytest.mark.parametrize(('adapters', 'decoder'), CASES)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_equals_the_counter_on_the_materialised_network(adapters, decoder, data):
    model, options = super_network(adapters, decoder)
    width = data.draw(widths(), 'width')
    tasks = tuple(data.draw(st.lists(st.sampled_from(list(TASKS)), min_size=1, unique=True), 'tasks'))
    tasks = tuple(task for task in TASKS if task in tasks)
    size = data.draw(st.sampled_from([(64, 64), (70, 33), (16, 16), (160, 96)]), 'size')
    merged = data.draw(st.booleans(), 'merged')
    expected = counted(model, options, width, tasks, merged, size)
    assert CostTable(model, size, tasks, merged).of(width) == expected


def test_many_widths_at_once_are_those_one_by_one():
    model, _ = super_network('plus', 'hrnet')
    cost = CostTable(model, (64, 96))
    generator = np.random.default_rng(0)
    encoder = generator.uniform(0.1, 1, (40, 3))
    decoder = {task: generator.choice((0.25, 0.5, 1.0), 40) for task in TASKS}
    macs, parameters = cost.macs(encoder, decoder), cost.parameters(encoder, decoder)
    assert macs.dtype == parameters.dtype == np.int64
    assert len(np.unique(macs)) > 30
    for index in range(40):
        width = WidthConfig(tuple(encoder[index]), {task: ratios[index] for task, ratios in decoder.items()})
        assert cost.of(width) == {'macs': macs[index], 'parameters': parameters[index]}


def test_the_paper_size_network_at_full_width():
    """Swin-T with the published adapters and decoders."""
    options = dict(
        type='MultiTaskModel',
        tasks=TASKS,
        backbone=dict(type='SwinBackbone', img_size=(224, 224), pretrained=None, allow_random_init=True, adapters={}),
        decoder=dict(type='HRNetDecoder'),
        slimming=dict(encoder=0.25),
    )
    model = MODELS.build(options).eval()
    expected = {'macs': count_macs(model, 224, 224), 'parameters': sum(p.numel() for p in model.parameters())}
    assert CostTable(model, (224, 224)).of(model.space.full) == expected


@pytest.mark.parametrize(('adapters', 'decoder'), [('plus', 'hrnet'), ('some_stages', 'task_expert')])
def test_few_counts_give_all_widths(adapters, decoder):
    """Stages add up; tasks add up in the HRNet decoder and act together in TaskExpert."""
    model, _ = super_network(adapters, decoder)
    table = CostTable(model, (64, 96))
    encoder = np.array(list(itertools.product((0.25, 0.5, 1.0), repeat=3)))
    ratios = np.random.default_rng(0).choice((0.25, 1.0), (27, 3))
    macs = table.macs(encoder, dict(zip(TASKS, ratios.T, strict=True)))
    assert len(table.network.counts) < 27
    for index in range(0, 27, 5):
        width = WidthConfig(tuple(encoder[index]), dict(zip(TASKS, ratios[index], strict=True)))
        assert table.network(width)[0] == macs[index]


def test_thousands_of_widths_take_the_counts_of_a_few():
    model, _ = super_network('mtlora', 'hrnet')
    table, generator = CostTable(model, (64, 64)), np.random.default_rng(0)
    encoder = generator.choice((0.25, 0.5, 1.0), (20_000, 3))
    decoder = {task: generator.choice((0.25, 0.5, 1.0), 20_000) for task in TASKS}
    macs = table.macs(encoder, decoder)
    assert macs.shape == (20_000,)
    assert len(table.network.counts) < 30  # each ratio of each stage and task, and some that check the sum


class Mixing(nn.Module):
    """A layer that the package does not know: products of its own, one of them in place, another at some widths."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))

    def forward(self, x):
        rows = x.reshape(-1, 4)
        mixed = rows.clone().addmm_(rows, self.weight)
        return (mixed @ self.weight if len(rows) > 2000 else mixed).view_as(x)


class MixingSwin(SwinBackbone):
    def __init__(self, **options):
        super().__init__(**options)
        for module in self.modules():
            if hasattr(module, 'fc1'):
                module.act = Mixing()


class Attending(HRNetDecoder):
    """A decoder that the package does not know: tasks act on one another, without a parameter in common."""

    def each_map(self, features, tasks):
        maps = dict(super().each_map(features, tasks))
        for task, values in maps.items():
            pixels = values.flatten(2)
            for other in maps.values():
                pixels = pixels + (pixels @ other.flatten(2).mT) @ other.flatten(2)
            yield task, pixels.view_as(values)


@pytest.mark.parametrize(
    'parts',
    [dict(backbone=dict(BACKBONE, type=MixingSwin)), dict(decoder=dict(HRNET, type=Attending))],
    ids=['backbone', 'decoder'],
)
def test_a_layer_from_outside_needs_nothing_to_be_counted(parts):
    slimming = dict(encoder=(0.25, 0.5, 1.0), decoder=(0.25, 0.5, 1.0), multiple=4)
    options = dict(type='MultiTaskModel', tasks=TASKS, backbone=BACKBONE, decoder=HRNET, slimming=slimming) | parts
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(options)).eval()
    table, draw = CostTable(model, (64, 64)), random.Random(1)
    widths = [model.space.sample(draw) for _ in range(20)]
    encoder = np.array([width.encoder for width in widths])
    decoder = {task: np.array([width.decoder[task] for width in widths]) for task in TASKS}
    found = zip(table.macs(encoder, decoder).tolist(), table.parameters(encoder, decoder).tolist(), strict=True)
    for width, (macs, parameters) in list(zip(widths, found, strict=True))[::4]:
        assert counted(model, options, width, tuple(TASKS), False, (64, 64)) == dict(macs=macs, parameters=parameters)


def test_a_network_that_reads_values_is_told():
    class Reading(HRNetDecoder):
        def each_map(self, features, tasks):
            for task, values in super().each_map(features, tasks):
                yield task, values * float(values.detach().mean())

    slimming = dict(encoder=(0.5, 1.0), decoder=(0.5, 1.0))
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=copy.deepcopy(TASKS),
            backbone=BACKBONE,
            decoder=dict(HRNET, type=Reading),
            slimming=slimming,
        )
    )
    with pytest.raises(CostError, match='does not run on the meta device'):
        CostTable(model, (64, 64))


@given(st.lists(st.frozensets(st.integers(0, 4), min_size=1, max_size=3), min_size=1, max_size=5), st.randoms())
def test_inclusion_exclusion(sets, draw):
    """A sum of functions of the ratios in each set follows from its values with the other ratios at 1."""
    values = {}

    def cost(x):
        terms = [(index, tuple(x[owner] for owner in sorted(owners))) for index, owners in enumerate(sets)]
        return sum(values.setdefault(term, draw.randint(-1000, 1000)) for term in terms)

    x = [draw.choice((1, 2, 3)) for _ in range(5)]
    factors = inclusion_exclusion(sets)
    assert sum(factor * cost([x[o] if o in on else 1 for o in range(5)]) for on, factor in factors.items()) == cost(x)
