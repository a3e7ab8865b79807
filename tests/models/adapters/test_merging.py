"""Merging changes no output, and unmerging changes no bit."""

import itertools

import pytest
import torch
from torch import nn

from mtl.models.adapters import MergeError, MTLoRALinear, merge_adapters, unmerge_adapters
from mtl.models.adapters.mtlora import BASE_INPUTS, MODES
from mtl.ops.streams import Streams


def make_layer(mode='matrix', base_input='shared', tasks=('a', 'b'), **options):
    torch.manual_seed(0)
    layer = MTLoRALinear(
        nn.Linear(8, 12),
        rank=4,
        task_ranks=dict.fromkeys(tasks, 2),
        scale=1.5,
        task_scales=0.5,
        mode=mode,
        base_input=base_input,
        **options,
    )
    for parameter in layer.adapter_parameters():
        nn.init.normal_(parameter)
    return layer.eval()


def outputs_of(layer, x, tasks, keep_shared=True):
    return layer(Streams.split(x), tasks, keep_shared).stacked()


@pytest.mark.parametrize(('mode', 'base_input'), itertools.product(MODES, BASE_INPUTS))
@pytest.mark.parametrize('tasks', [(), ('a', 'b')])
def test_merged_outputs_are_the_same(mode, base_input, tasks):
    layer = make_layer(mode, base_input, tasks)
    tasks = tuple(layer.tasks)
    x = torch.randn(1 + len(tasks), 5, 8)
    before, streams = layer(x[0]), outputs_of(layer, x, tasks)
    started = outputs_of(layer, x[:1], tasks)
    weight = layer.weight.detach().clone()
    if layer.norm is not None:
        with pytest.raises(MergeError, match='addition'):
            layer.merge()
        assert torch.equal(layer.weight, weight)
        return
    layer.merge()
    torch.testing.assert_close(layer.weight - weight, layer.delta_weight())
    torch.testing.assert_close(layer(x[0]), nn.functional.linear(x[0], layer.weight, layer.bias), rtol=0, atol=0)
    torch.testing.assert_close(layer(x[0]), before)
    torch.testing.assert_close(outputs_of(layer, x, tasks), streams)
    torch.testing.assert_close(outputs_of(layer, x[:1], tasks), started)
    layer.unmerge()
    assert torch.equal(layer.weight, weight)
    assert layer.merged is None


@pytest.mark.parametrize('keep_shared', [True, False])
@pytest.mark.parametrize('own_stream', [True, False])
def test_a_task_becomes_one_weight(keep_shared, own_stream):
    layer = make_layer(base_input='task')
    x = torch.randn(2 if own_stream else 1, 5, 8)
    streams = outputs_of(layer, x, ('a',), keep_shared)
    both = outputs_of(layer, x[[0, -1, -1]], ('a', 'b'))
    weight = layer.weight.detach().clone()
    layer.merge('a')
    torch.testing.assert_close(layer.weight, weight + 0.5 * layer.tasks['a'].B @ layer.tasks['a'].A)
    torch.testing.assert_close(layer(x[-1]), streams[-1])
    torch.testing.assert_close(outputs_of(layer, x, ('a',), keep_shared), streams)
    torch.testing.assert_close(outputs_of(layer, x[[0, -1, -1]], ('a', 'b')), both)
    layer.unmerge()
    assert torch.equal(layer.weight, weight)


def test_where_a_task_cannot_be_merged_the_reason_is_told():
    with pytest.raises(MergeError, match="only base_input='task'"):
        make_layer().merge('a')
    with pytest.raises(MergeError, match='two inputs'):
        make_layer('matrixv2', 'task').merge('a')
    with pytest.raises(MergeError, match='LayerNorm'):
        make_layer('addition', 'task').merge('a')


def test_a_task_without_an_update_merges_the_shared_one():
    layer = make_layer(tasks=('b',))
    layer.merge('a')
    assert layer.merged == 'shared'


def test_training_and_checkpoints_see_the_unmerged_weight():
    layer = make_layer()
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    layer.merge()
    assert not torch.equal(layer.weight, state['weight'])
    for key, value in layer.state_dict().items():
        assert torch.equal(value, state[key]), key
    layer.load_state_dict(state)
    assert layer.merged is None
    layer.merge()
    layer.train()
    assert layer.merged is None
    assert torch.equal(layer.weight, state['weight'])


def test_the_kept_weight_moves_along():
    layer = make_layer().double()
    weight = layer.weight.detach().clone()
    layer.float().merge()
    layer.double().unmerge()
    torch.testing.assert_close(layer.weight, weight, rtol=0, atol=0)


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('base_input', BASE_INPUTS)
@pytest.mark.parametrize('task', [None, 'semseg'])
def test_a_whole_backbone(micro_backbone, mode, base_input, task):
    backbone = micro_backbone(adapters=dict(rank=3, task_rank=2, mode=mode, base_input=base_input)).double()
    image = torch.randn(1, 3, 64, 48, dtype=torch.double)
    tasks = ('semseg', 'normals') if task is None else (task,)
    weights = {name: value.clone() for name, value in backbone.named_parameters()}
    with torch.no_grad():
        before = backbone(image, tasks)
        report = merge_adapters(backbone, task)
        after = backbone(image, tasks)
        for name in tasks:
            for expected, found in zip(before.of(name), after.of(name), strict=True):
                torch.testing.assert_close(found, expected)
    # two stages of two blocks of four layers, three of them with task updates in a stage's last block
    impossible = mode == 'addition' or (task and (mode == 'matrixv2' or (mode == 'matrix' and base_input == 'shared')))
    assert (len(report.merged), len(report.kept)) == ((10, 6) if impossible else (16, 0))
    assert str(report).startswith(f'{len(report.merged)} of 16')
    unmerge_adapters(backbone)
    for name, value in backbone.named_parameters():
        assert torch.equal(value, weights[name]), name
