"""Task streams, kept as factors, against the same streams written out."""

import pytest
import torch
import torch.nn.functional as F

from mtl.ops import low_rank_streams as module
from mtl.ops.low_rank_streams import ActiveStreams, LowRankStreams, norm_and_project
from mtl.ops.streams import Streams

TASKS, ROWS, WIDTH, HIDDEN, RANK = 3, 11, 5, 6, 2


@pytest.fixture
def arguments():
    torch.manual_seed(0)

    def make(*size):
        return torch.randn(size, dtype=torch.double, requires_grad=True)

    streams = [make(ROWS, WIDTH), make(ROWS, WIDTH), make(TASKS, ROWS, RANK), make(ROWS, HIDDEN), make(ROWS, WIDTH)]
    widths = (WIDTH, WIDTH, HIDDEN, HIDDEN, WIDTH)
    return streams, [make(TASKS, RANK, width) for width in widths], [make(WIDTH), make(WIDTH)]


def run(streams, factors, norm, keep):
    layer = torch.nn.LayerNorm(WIDTH).double()
    del layer.weight, layer.bias
    layer.weight, layer.bias = norm
    (x, p, z, h, q), (B0, A1, B1, A2, B2) = streams, factors
    keep1, keep2 = (None, None) if keep is None else (torch.cat([torch.ones_like(k[:1]), k]) for k in keep)
    u = Streams(x).plus(Streams(p, LowRankStreams(p[None], z, B0)), keep1)
    z1 = u.normed(layer).own.project(A1)
    z2 = ActiveStreams(LowRankStreams(h[None], z1, B1)).project(A2)
    return u.plus(Streams(None, LowRankStreams(q[None], z2, B2)), keep2).own.dense()


def slow(streams, factors, norm, keep):
    """The equations of the module, one task after another."""
    x, p, z, h, q = streams
    outputs = []
    for task in range(TASKS):
        B0, A1, B1, A2, B2 = (factor[task] for factor in factors)
        first, second = (1, 1) if keep is None else (keep[0][task], keep[1][task])
        u = x + first * (p + z[task] @ B0)
        hidden = h + F.layer_norm(u, (WIDTH,), *norm) @ A1.T @ B1
        outputs.append(u + second * (q + F.gelu(hidden) @ A2.T @ B2))
    return torch.stack(outputs)


@pytest.mark.parametrize('chunk', [1, TASKS * HIDDEN * 4, 10**6])
@pytest.mark.parametrize('drops', [False, True])
def test_value_and_gradients(arguments, monkeypatch, chunk, drops):
    monkeypatch.setitem(module.CHUNK, 'cpu', chunk)
    keep = (torch.rand(TASKS, ROWS, 1).double(), torch.rand(TASKS, ROWS, 1).double()) if drops else None
    fast, expected = run(*arguments, keep), slow(*arguments, keep)
    torch.testing.assert_close(fast, expected)
    inputs = [tensor for group in arguments for tensor in group]
    weight = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((fast * weight).sum(), inputs), torch.autograd.grad((expected * weight).sum(), inputs)
    )


def test_keeps_nothing_as_wide_as_the_hidden_activations_of_the_tasks(arguments):
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        run(*arguments, None)
    assert max(tensor.numel() for tensor in saved) < TASKS * ROWS * WIDTH


def make_streams(own_common, pieces, rank, dtype=torch.double):
    torch.manual_seed(0)
    common = torch.randn(TASKS if own_common else 1, ROWS, pieces, WIDTH, dtype=dtype)
    streams = LowRankStreams(
        common, torch.randn(TASKS, ROWS, pieces, rank, dtype=dtype), torch.randn(TASKS, rank, WIDTH, dtype=dtype)
    )
    norm = torch.nn.LayerNorm(pieces * WIDTH, dtype=dtype)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    return streams, norm, torch.randn(TASKS, 2, pieces * WIDTH, dtype=dtype)


def slow_norm_and_project(streams, norm, weights):
    dense = streams.common + torch.einsum('tnpr,trc->tnpc', streams.z, streams.B)
    return torch.stack([norm(stream.flatten(1)) @ W.T for stream, W in zip(dense, weights, strict=True)])


@pytest.mark.parametrize('pieces', [1, 4])
@pytest.mark.parametrize(('own_common', 'rank'), [(True, 0), (True, 3), (False, 3)])
def test_norm_and_project(own_common, pieces, rank):
    streams, norm, weights = make_streams(own_common, pieces, rank)
    inputs = [x.requires_grad_() for x in (*streams, weights) if x.numel()] + list(norm.parameters())
    found, expected = norm_and_project(streams, norm, weights), slow_norm_and_project(streams, norm, weights)
    torch.testing.assert_close(found, expected)
    scale = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((found * scale).sum(), inputs), torch.autograd.grad((expected * scale).sum(), inputs)
    )
    torch.testing.assert_close(streams.dense(), streams.common + torch.einsum('tnpr,trc->tnpc', *streams[1:]))


@pytest.mark.parametrize('offset', [0.0, 100.0])
def test_norm_and_project_in_single_precision(offset):
    """As near to the truth as the streams written out, also where channels have a large mean."""
    streams, norm, weights = make_streams(False, 4, 3, torch.float32)
    streams = streams._replace(common=streams.common + offset)
    found, written_out = norm_and_project(streams, norm, weights), slow_norm_and_project(streams, norm, weights)
    exact = slow_norm_and_project(LowRankStreams(*(x.double() for x in streams)), norm.double(), weights.double())
    assert (found - exact).abs().max() < 4 * (written_out - exact).abs().max() + 1e-6


def test_streams_that_cancel_are_finite():
    """Of a variance of 0 rounding may leave less."""
    streams, norm, weights = make_streams(False, 1, 1, torch.float32)
    streams = LowRankStreams(
        1e3 * streams.B[:1].expand(1, ROWS, 1, -1), -1e3 * torch.ones(1, ROWS, 1, 1), streams.B[:1]
    )
    assert norm_and_project(streams, norm, weights[:1]).isfinite().all()


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('how', ['autocast', 'all'])
def test_norm_and_project_in_half_precision(dtype, how):
    """Finite where squares of the streams leave the range of float16, and as near as half precision is."""
    streams, norm, weights = make_streams(False, 4, 3, torch.float32)
    streams = streams._replace(common=500 * streams.common, z=300 * streams.z)
    exact = slow_norm_and_project(streams, norm, weights)
    if how == 'all':
        streams, norm, weights = LowRankStreams(*(x.to(dtype) for x in streams)), norm.to(dtype), weights.to(dtype)
    with torch.autocast('cpu', dtype, enabled=how == 'autocast'):
        found = norm_and_project(streams, norm, weights)
    assert found.dtype == dtype
    assert (found - exact).abs().max() < 0.02 * exact.abs().max()
