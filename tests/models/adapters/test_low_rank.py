import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mtl.models.adapters import LowRankUpdate, MTLoRALinear, TaskLinear
from mtl.models.adapters.mtlora import MODES, stacked_factors
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams


def make_layer(mode='matrix', base_input='shared', ranks=(4, 2, 3), seed=0, **options):
    """A layer 8 -> 12 with tasks a and b, all factors random."""
    torch.manual_seed(seed)
    shared, a, b = ranks
    layer = MTLoRALinear(
        nn.Linear(8, 12),
        rank=shared,
        task_ranks={'a': a, 'b': b},
        scale=1.5,
        task_scales={'a': 2.0, 'b': 0.5},
        mode=mode,
        base_input=base_input,
        **options,
    )
    for parameter in layer.adapter_parameters():
        nn.init.normal_(parameter)
    return layer


def outputs_of(layer, x, tasks, keep_shared=True):
    """Of stacked streams ``[S, ..., in]``, the shared one first: ``[S, ..., out]``."""
    return layer(Streams.split(x.flatten(1, -2)), tasks, keep_shared).stacked().unflatten(1, x.shape[1:-1])


def slow_streams(layer, x, tasks):
    """The table of MTLoRALinear's docstring, one token and one task at a time. ``x`` is {'shared': [N, in], ...}."""
    W, b = layer.weight, layer.bias

    def update(low_rank, token):
        return low_rank.scale * low_rank.B @ (low_rank.A @ token)

    outputs = {name: [] for name in ('shared', *tasks)}
    for n in range(len(x['shared'])):
        token = x['shared'][n]
        base = W @ token + b
        shared_update = update(layer.shared, token) if layer.shared is not None else torch.zeros_like(base)
        task_outputs = {}
        for task in tasks:
            own = x[task][n] if task in x else token
            task_base = W @ own + b if layer.base_input == 'task' else base
            task_outputs[task] = task_base + update(layer.tasks[task], own)
            if layer.mode == 'matrixv2':
                task_outputs[task] = task_outputs[task] + shared_update
            outputs[task].append(task_outputs[task])
        if layer.mode == 'addition':
            total = sum(task_outputs.values())
            mean = total.mean()
            variance = ((total - mean) ** 2).mean()
            shared_update = (total - mean) / torch.sqrt(variance + 1e-5) * layer.norm.weight + layer.norm.bias
        outputs['shared'].append(base + shared_update)
    return {name: torch.stack(rows) for name, rows in outputs.items()}


@pytest.mark.parametrize('mode', [mode for mode in MODES if mode != 'lora_only'])
@pytest.mark.parametrize('base_input', ['shared', 'task'])
@pytest.mark.parametrize('own_streams', [True, False])
def test_streams_follow_the_equations(mode, base_input, own_streams):
    layer = make_layer(mode, base_input).double()
    x = {name: torch.randn(5, 8, dtype=torch.double) for name in (('shared', 'a', 'b') if own_streams else ('shared',))}
    stacked = outputs_of(layer, torch.stack(list(x.values())), ('a', 'b'))
    for stream, expected in zip(stacked, slow_streams(layer, x, ('a', 'b')).values(), strict=True):
        torch.testing.assert_close(stream, expected, rtol=1e-10, atol=1e-10)
    without_shared = outputs_of(layer, torch.stack(list(x.values())), ('a', 'b'), keep_shared=False)
    torch.testing.assert_close(without_shared, stacked[1:])


@pytest.mark.parametrize('mode', ['matrix', 'matrixv2', 'lora_only'])
@pytest.mark.parametrize('rank', [0, 1, 40])  # the last is so high that the shared output is a product of its own
@pytest.mark.parametrize('merged', [False, True])
@pytest.mark.parametrize('gelu', [False, True])
def test_shared_output_and_base(mode, rank, merged, gelu):
    layer, x = make_layer(mode, ranks=(rank, 2, 3)).double().eval(), torch.randn(9, 8, dtype=torch.double)
    base = x @ layer.weight.T + layer.bias
    shared = base if layer.shared is None else base + x @ layer.shared.delta_weight().T
    expected = F.gelu(shared) if gelu else shared
    if merged:
        layer.merge()
    for gradients, keep_shared in itertools.product((True, False), (True, False)):
        with torch.set_grad_enabled(gradients):
            found = layer(Streams(x), tuple(layer.tasks), keep_shared, gelu)
            if keep_shared or not len(layer.tasks):
                torch.testing.assert_close(found.shared, expected)
            else:
                assert found.shared is None
            if len(layer.tasks):
                own = found.own.streams if gelu else found.own
                torch.testing.assert_close(own.common[0], shared if mode == 'matrixv2' else base)


def test_forward_is_the_shared_stream():
    x = torch.randn(2, 5, 8)
    for mode in MODES:
        layer = make_layer(mode)
        torch.testing.assert_close(layer(x), outputs_of(layer, x[None], tuple(layer.tasks))[0])


@pytest.mark.parametrize('kind', [*MODES, 'folded'])
@pytest.mark.parametrize('tasks', [(), ('a', 'b')])
@pytest.mark.parametrize('keep_shared', [True, False])
def test_gelu_of_every_output(kind, tasks, keep_shared):
    layer = TaskLinear(nn.Linear(8, 12), ('a', 'b')) if kind == 'folded' else make_layer(kind)
    tasks = ('a', 'b') if layer.needs_all_tasks else tasks
    streams = Streams.split(torch.randn(1 + len(tasks), 5, 8))
    plain, active = (layer(streams, tasks, keep_shared, gelu) for gelu in (False, True))
    torch.testing.assert_close(active.stacked(), F.gelu(plain.stacked()))
    torch.testing.assert_close(layer(streams.shared, gelu=True), F.gelu(layer(streams.shared)))


def test_lora_only_has_no_task_factors():
    layer = make_layer('lora_only')
    assert not len(layer.tasks)
    assert outputs_of(layer, torch.randn(1, 5, 8), ()).shape == (1, 5, 12)


@given(ranks=st.lists(st.integers(1, 6), min_size=1, max_size=4), own=st.booleans(), seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_stacking_equals_one_update_after_another(ranks, own, seed):
    torch.manual_seed(seed)
    updates = [LowRankUpdate(5, 7, rank, scale=0.5 + rank).double() for rank in ranks]
    for update in updates:
        nn.init.normal_(update.B)
    x = torch.randn(len(ranks) if own else 1, 2, 3, 5, dtype=torch.double)
    expected = torch.stack([update(x[index if own else 0]) for index, update in enumerate(updates)])
    A, B = stacked_factors(updates)
    z = LowRankStreams.of_rank_0(x.flatten(1, -2)).project(A)
    torch.testing.assert_close((z @ B).view_as(expected), expected)


def test_a_task_does_not_depend_on_which_others_run():
    layer = make_layer()
    x = torch.randn(3, 5, 8)
    both = outputs_of(layer, x, ('a', 'b'))
    only_b = outputs_of(layer, x[[0, 2]], ('b',))
    torch.testing.assert_close(only_b[1], both[2])


def test_rank_zero_means_just_that():
    no_shared = make_layer(ranks=(0, 2, 2))
    assert no_shared.shared is None
    assert set(no_shared.tasks) == {'a', 'b'}
    no_b = make_layer(ranks=(4, 2, 0))
    assert set(no_b.tasks) == {'a'}
    assert not make_layer(ranks=(0, 0, 0)).adapter_parameters()


def test_starts_from_the_base_layer():
    base = nn.Linear(8, 12)
    layer = MTLoRALinear(base, rank=4, task_ranks={'a': 2})
    x = torch.randn(1, 5, 8)
    assert all(torch.equal(stream, base(x[0])) for stream in outputs_of(layer, x, ('a',)))


def test_delta_weight_is_what_the_forward_adds():
    layer = make_layer()
    x = torch.randn(3, 5, 8)
    shared, a, _ = outputs_of(layer, x, ('a', 'b'))
    base = x[0] @ layer.weight.T + layer.bias
    torch.testing.assert_close(shared - base, x[0] @ layer.delta_weight().T)
    torch.testing.assert_close(a - base, x[1] @ layer.delta_weight('a').T)
    with pytest.raises(ValueError, match='not a matrix'):
        make_layer('addition').delta_weight()


def test_dropout_hits_the_shared_input_only_unless_asked():
    layer = make_layer(dropout=0.5).train()
    x = torch.randn(3, 50, 8)
    first, second = (outputs_of(layer, x, ('a', 'b')) for _ in range(2))
    assert not torch.equal(first[0], second[0])
    assert torch.equal(first[1:], second[1:])
    layer.stream_dropout = True
    assert not torch.equal(outputs_of(layer, x, ('a', 'b'))[1:], first[1:])


def test_addition_needs_all_tasks():
    with pytest.raises(ValueError, match='asked to run a only'):
        outputs_of(make_layer('addition'), torch.randn(1, 5, 8), ('a',))


def test_unknown_mode_names_the_known_ones():
    with pytest.raises(ValueError, match='matrixv2'):
        make_layer('matrix3')


@pytest.mark.parametrize(('mode', 'tag'), itertools.product(MODES, ('xt', 'none')))
def test_published_layer(shared_folder, mode, tag):
    """Outputs and gradients of the published layer (arrays kept beside the repository)."""
    data = {key: torch.from_numpy(value) for key, value in np.load(shared_folder / 'golden/mtlora_linear.npz').items()}
    layer = make_layer(mode, ranks=(4, 2, 2))
    names = {'weight': 'linear.weight', 'bias': 'linear.bias'}
    with torch.no_grad():
        layer.weight.copy_(data['weight'])
        layer.bias.copy_(data['bias'])
        if layer.shared is not None:
            layer.shared.A.copy_(data['shared_A'])
            layer.shared.B.copy_(data['shared_B'])
            names |= {'shared.A': 'lora_shared_A', 'shared.B': 'lora_shared_B'}
        for task in layer.tasks:
            layer.tasks[task].A.copy_(data[f'task_{task}_A'])
            layer.tasks[task].B.copy_(data[f'task_{task}_B'])
            names |= {f'tasks.{task}.A': f'lora_tasks_A.{task}', f'tasks.{task}.B': f'lora_tasks_B.{task}'}
        if layer.norm is not None:
            layer.norm.weight.copy_(data['norm_weight'])
            layer.norm.bias.copy_(data['norm_bias'])
            names |= {'norm.weight': 'lora_norm.weight', 'norm.bias': 'lora_norm.bias'}
    x = torch.stack([data['x'], data['x_a'], data['x_b']] if tag == 'xt' and len(layer.tasks) else [data['x']])
    outputs = outputs_of(layer, x, tuple(layer.tasks))
    for name, output in zip(('shared', 'task_a', 'task_b'), outputs, strict=False):
        torch.testing.assert_close(output, data[f'{mode}__{tag}__{name}'], rtol=1e-5, atol=1e-5)
    if tag == 'xt':
        outputs.square().sum().backward()
        parameters = dict(layer.named_parameters())
        for ours, theirs in names.items():
            expected = data[f'{mode}__xt__grad__{theirs}']
            torch.testing.assert_close(parameters[ours].grad, expected, rtol=1e-5, atol=1e-4)
