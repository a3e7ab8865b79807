"""Dense layers by oneDNN: the numbers of torch, counted, and only where oneDNN serves."""

import pytest
import torch
import torch.nn.functional as F
from timm.layers import Mlp as TimmMlp
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mtl.models.dense import Linear, Mlp
from mtl.ops.linear import ONEDNN_PAYS, PACKING_PAYS, linear

ROWS, IN, OUT = 1024, 96, 192
needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='this torch has no oneDNN')


def kernels(work):
    with profile(activities=[ProfilerActivity.CPU]) as events:
        work()
    return {event.key for event in events.key_averages()}


@pytest.fixture
def tensors():
    torch.manual_seed(0)
    return torch.randn(2, ROWS // 2, IN), torch.randn(OUT, IN), torch.randn(OUT)


@pytest.mark.parametrize('gelu', [False, True])
@pytest.mark.parametrize('with_bias', [False, True])
@pytest.mark.parametrize('layout', ['rows', 'columns', 'slice', 'sliced input'])
def test_equals_double_precision(tensors, gelu, with_bias, layout):
    x, weight, bias = tensors
    if layout == 'columns':
        weight = weight.T.contiguous().T
    elif layout == 'slice':
        weight = torch.cat([weight, weight], 1)[:, :IN]
    elif layout == 'sliced input':
        x = torch.cat([x, x], -1)[..., :IN]
    bias = bias if with_bias else None
    expected = x.double() @ weight.double().T + (bias.double() if with_bias else 0.0)
    expected = F.gelu(expected) if gelu else expected
    found = linear(x, weight, bias, gelu)
    assert found.shape == (2, ROWS // 2, OUT)
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.parametrize('layout', ['rows', 'columns', 'slice'])
def test_many_rows_run_with_a_packed_weight(layout):
    """Of any strides, also slices, which unpacked would run by a slow reference kernel."""
    torch.manual_seed(0)
    x, weight, bias = torch.randn(PACKING_PAYS, IN), torch.randn(OUT, IN), torch.randn(OUT)
    if layout == 'columns':
        weight = weight.T.contiguous().T
    elif layout == 'slice':
        weight = torch.cat([weight, weight], 1)[:, :IN]
    assert 'mkldnn::_reorder_linear_weight' in kernels(lambda: linear(x, weight, bias))
    assert 'mkldnn::_reorder_linear_weight' not in kernels(lambda: linear(x[1:], weight, bias))
    expected = F.linear(x.double(), weight.double(), bias.double())
    torch.testing.assert_close(linear(x, weight, bias).double(), expected, rtol=1e-4, atol=1e-4)
    found = linear(x, weight, bias, gelu=True)
    torch.testing.assert_close(found.double(), F.gelu(expected), rtol=1e-4, atol=1e-4)


def test_a_changed_weight_is_seen():
    x, weight = torch.randn(PACKING_PAYS, IN), nn.Parameter(torch.randn(OUT, IN))
    with torch.no_grad():
        before = linear(x, weight)
        weight.data.mul_(2)  # which no version counter records
        torch.testing.assert_close(linear(x, weight), 2 * before)


@needs_onednn
@pytest.mark.filterwarnings('ignore:TF32')
def test_onednn_runs_where_it_serves(tensors):
    x, weight, bias = tensors
    name = 'mkldnn::_linear_pointwise'
    assert x.numel() * OUT >= ONEDNN_PAYS
    assert name in kernels(lambda: linear(x, weight, bias))
    assert name in kernels(lambda: linear(x, weight.T.contiguous().T))
    assert name not in kernels(lambda: linear(x[:, :2], weight, bias)), 'too few multiplications'
    assert name not in kernels(lambda: linear(x, torch.cat([weight, weight], 1)[:, :IN], bias)), 'a slice'
    assert name not in kernels(lambda: linear(x.double(), weight.double(), bias.double()))
    assert name not in kernels(lambda: linear(x, weight.requires_grad_(), bias)), 'a gradient'
    with torch.no_grad():
        assert name in kernels(lambda: linear(x, weight, bias))
        with torch.autocast('cpu', torch.bfloat16):
            assert linear(x, weight, bias).dtype == torch.bfloat16
        with torch.backends.mkldnn.flags(enabled=False):
            assert name not in kernels(lambda: linear(x, weight, bias))


@pytest.mark.parametrize('gelu', [False, True])
def test_gradients(gelu):
    torch.manual_seed(0)
    tensors = [torch.randn(*shape, dtype=torch.double, requires_grad=True) for shape in ((5, 3), (4, 3), (4,))]
    assert torch.autograd.gradcheck(lambda *arguments: linear(*arguments, gelu), tensors)


def test_multiplications_are_counted(tensors):
    x, weight, bias = tensors
    with FlopCounterMode(display=False) as counter:
        linear(x, weight, bias, gelu=True)
    assert counter.get_total_flops() == 2 * ROWS * IN * OUT
    x = torch.randn(PACKING_PAYS, IN)
    with FlopCounterMode(display=False) as counter:
        linear(x, weight, bias)
    assert counter.get_total_flops() == 2 * PACKING_PAYS * IN * OUT


@pytest.mark.parametrize('activation', [nn.GELU, nn.ReLU, lambda: nn.GELU('tanh')])
def test_mlp_equals_timms(activation):
    torch.manual_seed(0)
    base = TimmMlp(IN, OUT, act_layer=activation).eval()
    x = torch.randn(ROWS, IN)
    expected, keys = base(x), list(base.state_dict())
    base.fc1, base.fc2 = Linear(base.fc1), Linear(base.fc2)
    mlp = Mlp(base)
    assert list(mlp.state_dict()) == keys
    torch.testing.assert_close(mlp(x), expected)
    with torch.no_grad():
        torch.testing.assert_close(mlp(x), expected, rtol=1e-5, atol=1e-5)
