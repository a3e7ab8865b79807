import pytest
import torch
import torch.nn.functional as F

from mtl.models.adapters import task_streams as module
from mtl.models.adapters.task_streams import TaskFactors, task_streams

TASKS, ROWS, WIDTH, HIDDEN, RANK = 3, 11, 4, 6, 2


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
    return task_streams(*streams, TaskFactors(*factors), layer, keep)


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
