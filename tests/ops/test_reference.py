"""Every fast function gives the numbers and the gradients of its equation, also without gradients and compiled."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl.models.slimmable.axes import Units, WidthTable, at_width
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig
from mtl.ops import (
    dropout,
    fuse_levels,
    layout,
    low_rank_linear,
    low_rank_streams,
    mixture_of_experts,
    mtlora_linear,
    patch_merging,
    pool,
    recompute,
    reference,
    upsample,
    window_attention,
)
from mtl.ops import linear as linear_module
from mtl.ops.low_rank_streams import ActiveStreams, LowRankStreams
from mtl.ops.mtlora_linear import Factors
from mtl.ops.streams import Streams

T, N, C, F_, R = 3, 22, 6, 10, 2  # tasks, rows, channels, hidden units, rank


def layer_norm(weight, bias):
    norm = nn.LayerNorm(len(weight), device='meta')
    del norm.weight, norm.bias
    norm.weight, norm.bias = weight, bias
    return norm


# ---- MTLoRA ---------------------------------------------------------------------------------------------------------


def mtlora(x, own, weight, bias, A, B, tasks_A, tasks_B, *norm, mode, task_base, with_shared=True, gelu=False):
    streams = Streams(x, None if own is None else LowRankStreams.of_rank_0(own))
    out = mtlora_linear.mtlora_linear(
        streams,
        weight,
        bias,
        Factors(A, B) if with_shared and mode != 'addition' else None,
        Factors(tasks_A, tasks_B),
        adds_shared=mode == 'matrixv2',
        task_base=task_base,
        norm=layer_norm(*norm) if mode == 'addition' else None,
        gelu=gelu,
    )
    return out.stacked()


def slow_mtlora(x, own, weight, bias, A, B, tasks_A, tasks_B, *norm, mode, task_base, with_shared=True, gelu=False):
    shared = (A, B) if with_shared and mode != 'addition' else None
    tasks = [(a, b.T) for a, b in zip(tasks_A, tasks_B, strict=True)]
    y, outputs = reference.mtlora_linear(x, own, weight, bias, shared, tasks, mode, task_base and own is not None, norm)
    stacked = torch.stack([y, *outputs])
    return F.gelu(stacked) if gelu else stacked


MTLORA = [(N, C), (T, N, C), (F_, C), (F_,), (R, C), (F_, R), (T, R, C), (T, R, F_), (F_,), (F_,)]


# ---- a block's streams ----------------------------------------------------------------------------------------------


def streams_of_a_block(x, p, z, h, q, B0, A1, B1, A2, B2, weight, bias):
    u = Streams(x).plus(Streams(p, LowRankStreams(p[None], z, B0)))
    z1 = u.normed(layer_norm(weight, bias)).own.project(A1)
    z2 = ActiveStreams(LowRankStreams(h[None], z1, B1)).project(A2)
    return u.plus(Streams(None, LowRankStreams(q[None], z2, B2))).own.dense()


def slow_streams_of_a_block(x, p, z, h, q, *rest):
    factors, norm = rest[:5], rest[5:]
    return torch.stack(
        [reference.task_stream_block(x, p, z[t], h, q, [factor[t] for factor in factors], norm) for t in range(T)]
    )


def slow_norm_and_project(common, z, B, weight, bias, weights):
    streams = reference.task_streams(common, z, B).flatten(2)
    return reference.each_linear(reference.layer_norm(streams, weight, bias), weights)


def merged_and_projected(common, z, B, weight, bias, reduction, weights):
    merged = LowRankStreams(patch_merging.patches(common), patch_merging.patches(z), B)
    composed = weights @ reduction
    projected = low_rank_streams.norm_and_project(merged, layer_norm(weight, bias), composed)
    return projected.unflatten(1, (2, 3, 2))


# ---- attention ------------------------------------------------------------------------------------------------------


def attention(qkv, bias, size, window, shift):
    grid = window_attention.WindowGrid(size, window, shift)
    windows = window_attention.into_windows(qkv, grid)
    return window_attention.from_windows(window_attention.window_attention(windows, bias, 0.7, grid), grid)


def attention_case(size, shift):
    fast = partial(attention, size=size, window=(2, 3), shift=shift)
    slow = partial(reference.window_attention, scale=0.7, window=(2, 3), shift=shift)
    return [(2, *size, 3 * 2 * 4), (2, 6, 6)], fast, slow


# ---- TaskExpert -----------------------------------------------------------------------------------------------------

EXPERTS, HIDDEN = 3, 5
MAP = (2, 3, 4)
EXPERT = [(EXPERTS, HIDDEN, C), (EXPERTS, HIDDEN), (EXPERTS, HIDDEN, 3, 3), (EXPERTS, HIDDEN)]
REDUCE = [(EXPERTS, C, HIDDEN), (EXPERTS, C)]


def each_expert(x, weights):
    return [reference.expert(x, *(weight[n] for weight in weights)) for n in range(EXPERTS)]


def mixture_of_own(x, gates, *weights):
    units = mixture_of_experts.expert_units(x, *weights[:4])
    return mixture_of_experts.mix_units(units, gates, *weights[4:])


def mixture_of_shared(x, gates, *weights):
    units = mixture_of_experts.expert_units(x, *weights[:4])
    return mixture_of_experts.mix_outputs(mixture_of_experts.expert_outputs(units, *weights[4:]), gates)


def slow_mixture(x, gates, *weights):
    outputs = [each_expert(x[t if len(x) > 1 else 0], weights) for t in range(len(gates))]
    return torch.stack([reference.mixture(each, g) for each, g in zip(outputs, gates, strict=True)])


def gates(bias, first, second, x, memory, kind):
    return mixture_of_experts.softmax_gates(bias, [first, second], [x, memory], kind)


def slow_gates(bias, first, second, x, memory, kind):
    sources = [(x[t if len(x) > 1 else 0], memory[t]) for t in range(T)]
    return torch.stack([reference.gates(bias[t], (first[t], second[t]), sources[t], kind) for t in range(T)])


def slow_write(memory, normed, feature, update, update_bias, gate, gate_bias):
    both = update.flatten(1), update_bias, gate.flatten(), gate_bias
    return reference.memory_write(memory, normed, feature, *both)


# ---- widths ---------------------------------------------------------------------------------------------------------


def slimmed(x, weight, bias):
    layer = nn.Linear(C, F_, device='meta')
    del layer.weight, layer.bias
    layer.weight, layer.bias = nn.Parameter(weight, False), nn.Parameter(bias, False)
    layer._parameters.update(weight=weight, bias=bias)
    table = WidthTable()
    table.add_linear('0', layer, out=Units(WidthGroup(0, 'out', F_)), into=Units(WidthGroup(0, 'in', C)))
    with at_width(nn.Sequential(layer), table, WidthConfig((0.5,), {'task': 1.0})):
        return layer(x)


# name: shapes of the inputs, fast function, equation
CASES = {
    'linear': ([(2, N, C), (F_, C), (F_,)], linear_module.linear, reference.linear),
    'linear, gelu': (
        [(2, N, C), (F_, C), (F_,)],
        partial(linear_module.linear, gelu=True),
        partial(reference.linear, gelu=True),
    ),
    'a stream each': ([(T, F_, C), (T, N, C)], linear_module.with_each, lambda A, x: reference.each_linear(x, A)),
    'one stream': ([(T, F_, C), (1, N, C)], linear_module.with_each, lambda A, x: reference.each_linear(x, A)),
    'slimmed linear': ([(N, C // 2), (F_, C), (F_,)], slimmed, partial(reference.slimmed_linear, n_out=F_ // 2)),
    'low-rank linear, few rows': (
        [(3, C), (F_, C), (F_,), (R, C), (F_, R)],
        low_rank_linear.low_rank_linear,
        reference.low_rank_linear,
    ),
    'low-rank linear, many rows': (
        [(2, N, C), (F_, C), (F_,), (R, C), (F_, R)],
        low_rank_linear.low_rank_linear,
        reference.low_rank_linear,
    ),
    **{
        f'mtlora {mode}{", W x_t" * task_base}{", gelu" * gelu}{"" if with_shared else ", tasks only"}': (
            MTLORA,
            partial(mtlora, mode=mode, task_base=task_base, with_shared=with_shared, gelu=gelu),
            partial(slow_mtlora, mode=mode, task_base=task_base, with_shared=with_shared, gelu=gelu),
        )
        for mode in ('matrix', 'matrixv2', 'addition')
        for task_base in (False, True)
        for with_shared, gelu in ((True, False), (True, True), (False, False))
    },
    'mtlora, streams begin': (
        [shape for index, shape in enumerate(MTLORA) if index != 1],
        lambda x, *rest: mtlora(x, None, *rest, mode='matrix', task_base=True),
        lambda x, *rest: slow_mtlora(x, None, *rest, mode='matrix', task_base=True),
    ),
    'streams of low rank': (
        [(1, N, C), (T, N, R), (T, R, C), (T, F_, C)],
        lambda common, z, B, W: LowRankStreams(common, z, B).project(W),
        lambda common, z, B, W: reference.each_linear(reference.task_streams(common, z, B), W),
    ),
    'streams of a block': (
        [
            (N, C),
            (N, C),
            (T, N, R),
            (N, F_),
            (N, C),
            (T, R, C),
            (T, R, C),
            (T, R, F_),
            (T, R, F_),
            (T, R, C),
            (C,),
            (C,),
        ],
        streams_of_a_block,
        slow_streams_of_a_block,
    ),
    'norm and project': (
        [(1, N, 4, C), (T, N, 4, R), (T, R, C), (4 * C,), (4 * C,), (T, 2, 4 * C)],
        lambda common, z, B, weight, bias, weights: low_rank_streams.norm_and_project(
            LowRankStreams(common, z, B), layer_norm(weight, bias), weights
        ),
        slow_norm_and_project,
    ),
    'patch merging and projection': (
        [(1, 2, 6, 4, C), (T, 2, 6, 4, R), (T, R, C), (4 * C,), (4 * C,), (2 * C, 4 * C), (T, 5, 2 * C)],
        merged_and_projected,
        lambda common, z, B, weight, bias, *rest: reference.merged_and_projected(
            reference.task_streams(common, z, B), (weight, bias), *rest
        ),
    ),
    'windows': attention_case((4, 6), (0, 0)),
    'shifted windows': attention_case((4, 6), (1, 2)),
    'shifted windows with padding': attention_case((5, 7), (1, 1)),
    'fused levels': (
        [(2, 6, 8, 3), (2, 3, 4, 4), (2, 3, 4, 70), (2, 2, 2, 5), (7, 82), (7,)],
        lambda *inputs: fuse_levels.fuse_levels(inputs[:4], *inputs[4:]),
        lambda *inputs: reference.fuse_levels(inputs[:4], *inputs[4:]),
    ),
    **{
        f'gates, {kind}, {streams} streams': (
            [(T, 4), (T, 4, C), (T, 4, C), (streams, *MAP, C), (T, *MAP, C)],
            partial(gates, kind=kind),
            partial(slow_gates, kind=kind),
        )
        for kind in ('pixel', 'image')
        for streams in (1, T)
    },
    'mixture of own experts': ([(T, *MAP, C), (T, *MAP, EXPERTS), *EXPERT, *REDUCE], mixture_of_own, slow_mixture),
    'mixture of shared experts': (
        [(1, *MAP, C), (T, *MAP, EXPERTS), *EXPERT, *REDUCE],
        mixture_of_shared,
        slow_mixture,
    ),
    'memory write': (
        [(T, *MAP, C)] * 3 + [(C, 2, C), (C,), (2, C), (1,)],
        mixture_of_experts.memory_write,
        slow_write,
    ),
    'prefix norm': (
        [(N, C), (F_,), (F_,)],
        partial(mixture_of_experts.prefix_norm, eps=1e-5),
        reference.layer_norm,
    ),
    'layout': ([(2, 5, 3, 4)], layout.laid_out, lambda x: x),
    'recomputed': (
        [(2, N, C), (F_, C), (F_,)],
        partial(recompute.recomputed, linear_module.linear),
        reference.linear,
    ),
}


def make(shapes, dtype):
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(shape, dtype=torch.double, generator=draw).to(dtype) for shape in shapes]


@pytest.mark.parametrize('name', CASES)
def test_numbers_and_gradients(name):
    shapes, fast, slow = CASES[name]
    inputs = [tensor.requires_grad_() for tensor in make(shapes, torch.double)]
    found, expected = fast(*inputs), slow(*inputs)
    torch.testing.assert_close(found, expected)
    scale = torch.linspace(-1, 1, expected.numel(), dtype=torch.double).view(expected.shape)
    gradients = (torch.autograd.grad((y * scale).sum(), inputs, allow_unused=True) for y in (found, expected))
    for index, (ours, theirs) in enumerate(zip(*gradients, strict=True)):
        assert (ours is None) == (theirs is None), index
        if ours is not None:
            torch.testing.assert_close(ours, theirs, msg=lambda text, index=index: f'input {index}: {text}')


@pytest.mark.parametrize('name', CASES)
@torch.no_grad()
def test_numbers_without_gradients_in_single_precision(name):
    shapes, fast, slow = CASES[name]
    found, expected = fast(*make(shapes, torch.float)), slow(*make(shapes, torch.double))
    assert found.dtype == torch.float
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('name', [name for name in CASES if name != 'slimmed linear'])
def test_numbers_under_a_compiler(name):
    shapes, fast, slow = CASES[name]
    torch._dynamo.reset()
    compiled = torch.compile(lambda *inputs: fast(*inputs), backend='eager')
    inputs = make(shapes, torch.double)
    torch.testing.assert_close(compiled(*inputs), slow(*inputs))


def test_dropout():
    x, p = torch.randn(40, 50, dtype=torch.double), 0.3
    torch.manual_seed(0)
    found = dropout.dropout(x, p)
    kept = (found != 0).double()
    assert 0.6 < kept.mean() < 0.8
    torch.testing.assert_close(found, reference.dropout(x, kept, p))
    assert dropout.dropout(x, 0.0) is x


@pytest.mark.parametrize('size', [(2, 4), (6, 8), (3, 3), (1, 1)])
def test_pooled(size):
    """Each mean by a loop, with the blocks of torch's adaptive pooling: from floor(i H / h) to ceil((i + 1) H / h)."""
    x = torch.randn(2, 6, 8, 5, dtype=torch.double)
    found = pool.pooled(x, size)
    assert found.shape == (2, *size, 5)
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(i * 6 // size[0], -(-(i + 1) * 6 // size[0]))
            columns = slice(j * 8 // size[1], -(-(j + 1) * 8 // size[1]))
            torch.testing.assert_close(found[:, i, j], x[:, rows, columns].mean((1, 2)))


@pytest.mark.parametrize('size', [(17, 9), (3, 4), (6, 8)])
def test_strips(monkeypatch, size):
    x = torch.randn(1, 5, 6, 8)
    expected = F.interpolate(x, size=size, mode='bilinear', align_corners=False)
    torch.testing.assert_close(torch.cat(list(upsample.upsampled_strips(x, size)), 2), expected)
    monkeypatch.setattr(upsample, 'MOST_NUMBERS', 5 * size[1] * 2)
    strips = list(upsample.upsampled_strips(x, size))
    assert len(strips) == (1 if size == (6, 8) else -(-size[0] // 2))
    torch.testing.assert_close(torch.cat(strips, 2), expected)
