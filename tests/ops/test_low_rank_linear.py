import pytest
import torch
import torch.nn.functional as F

from mtl.ops.dropout import draw_dropped
from mtl.ops.low_rank_linear import _LowRankLinear, low_rank_linear


def tensors(rows, n_in, n_out, rank=2, weight_trains=False):
    torch.manual_seed(0)
    sizes = dict(x=(rows, n_in), weight=(n_out, n_in), bias=(n_out,), A=(rank, n_in), B=(n_out, rank))
    values = {name: torch.randn(size, dtype=torch.double, requires_grad=True) for name, size in sizes.items()}
    values['weight'].requires_grad_(weight_trains)
    return values


# few and many rows against the sizes: factored and composed, in forward, input gradient and factor gradients
@pytest.mark.parametrize(('rows', 'n_in', 'n_out', 'rank'), [(2, 7, 9, 2), (40, 3, 4, 3), (6, 20, 4, 1), (9, 4, 20, 1)])
@pytest.mark.parametrize('weight_trains', [False, True])
@pytest.mark.parametrize('dropout', [0.0, 0.3])
def test_value_and_gradients(rows, n_in, n_out, rank, weight_trains, dropout):
    values = tensors(rows, n_in, n_out, rank, weight_trains)
    dropped = draw_dropped((rows, n_in), dropout, torch.device('cpu')) if dropout else None
    x, weight, bias, A, B = values.values()
    hit = x if dropped is None else x * dropped.apply(torch.ones_like(x))
    torch.testing.assert_close(_LowRankLinear.apply(*values.values(), dropped), x @ weight.T + bias + hit @ A.T @ B.T)
    assert torch.autograd.gradcheck(lambda *v: _LowRankLinear.apply(*v, dropped), tuple(values.values()))


def test_keeps_its_input_only():
    values = tensors(50, 6, 8)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        low_rank_linear(*values.values())
    assert sorted(tensor.numel() for tensor in saved)[-2:] == [48, 300]


def test_autocast_runs_in_the_low_dtype():
    values = {name: value.detach().float().requires_grad_() for name, value in tensors(30, 6, 8).items()}
    with torch.autocast('cpu', torch.bfloat16):
        y = low_rank_linear(*values.values())
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert all(value.grad.dtype == torch.float32 for value in values.values())
    expected = F.linear(values['x'], values['weight'] + values['B'] @ values['A'], values['bias'])
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.2)


def test_runs_on_the_meta_device():
    """There is no autocast there; shapes and numbers of operations come out as elsewhere."""
    x, weight, A, B = (torch.empty(shape, device='meta') for shape in ((7, 5), (6, 5), (2, 5), (6, 2)))
    assert low_rank_linear(x, weight, None, A, B).shape == (7, 6)
