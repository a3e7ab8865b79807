"""Running at a width, and the static network of that width, give the same outputs."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.models.adapters import fold_adapters, merge_adapters
from mtl.models.slimmable.materialize import materialize
from mtl.registry import MODELS

IMAGES = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(5))
TASK_EXPERTS = ('task_expert', 'task_expert_shared', 'task_expert_level', 'task_expert_static')
KINDS = {
    'adapters': {},
    'no adapters': dict(adapters=None),
    'input of the task': dict(adapters=dict(type='MTLoRA', rank=3, task_rank=2, base_input='task')),
    'addition': dict(adapters=dict(type='MTLoRA', rank=3, task_rank=2, mode='addition')),
    'bottleneck': dict(adapters=dict(type='Bottleneck', reduction=4)),
    'plus': dict(adapters=dict(type='MTLoRA', rank=2, task_rank=2, targets=('qkv', 'fc1', 'fc2', 'reduction'))),
}


def built(options, state):
    small = MODELS.build(options).eval().to(next(iter(state.values())).dtype)
    small.load_state_dict(state)  # strictly
    return small


@pytest.mark.parametrize(
    ('decoder', 'kind'),
    [
        *(('hrnet', kind) for kind in KINDS),
        *((decoder, kind) for decoder in TASK_EXPERTS for kind in ('adapters', 'no adapters')),
    ],
)
@given(seed=st.integers(0, 10**6), tasks=st.sampled_from([('normals',), ('semseg', 'saliency'), None]))
@settings(max_examples=6, deadline=None)
def test_outputs_are_equal(decoder, kind, seed, tasks, slimmable):
    model, options = slimmable(decoder, **KINDS[kind])
    width = model.space.sample(random.Random(seed))
    if kind == 'addition':
        tasks = None  # its shared stream depends on all
    small = built(*materialize(model, options, width, tasks))
    with torch.no_grad():
        with model.at_width(width):
            expected = model.logits(IMAGES, tasks)
        found = small.logits(IMAGES)
    assert found.keys() == expected.keys()
    for task, values in expected.items():
        torch.testing.assert_close(found[task], values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('base_input', ['shared', 'task'])
@given(seed=st.integers(0, 10**6))
@settings(max_examples=3, deadline=None)
def test_merging_before_and_after_is_the_same(base_input, seed, slimmable):
    model, options = slimmable(adapters=dict(type='MTLoRA', rank=3, task_rank=2, base_input=base_input))
    width, images = model.double().space.sample(random.Random(seed)), IMAGES.double()
    small = built(*materialize(model, options, width))
    with torch.no_grad():
        expected = small.logits(images)
        merge_adapters(model)
        with model.at_width(width):
            merged_first = model.logits(images)
        materialised_merged = built(*materialize(model, options, width)).logits(images)
        kept = fold_adapters(small.backbone, small.tasks)
        folded = small.logits(images)
    assert bool(kept) == (base_input == 'shared')
    for task, values in expected.items():
        assert torch.equal(materialised_merged[task], values)  # merging is no part of a state dict
        torch.testing.assert_close(merged_first[task], values, rtol=0, atol=1e-10)
        torch.testing.assert_close(folded[task], values, rtol=0, atol=1e-10)
