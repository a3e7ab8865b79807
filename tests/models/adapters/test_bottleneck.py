"""Bottleneck adapters: the formula, the start at the base layer, the adapter protocol."""

import pytest
import torch
from torch import nn

from mtl.models.adapters import BottleneckLinear, MergeError
from mtl.protocols import adapter_parameters


def test_formula():
    torch.manual_seed(0)
    base = nn.Linear(6, 8)
    layer = BottleneckLinear(base, hidden=3)
    x = torch.randn(2, 5, 6)
    assert torch.equal(layer(x), base(x))  # at the start
    for parameter in layer.adapter_parameters():
        nn.init.normal_(parameter)
    h = base(x)
    z = h @ layer.down.weight.T + layer.down.bias
    gelu = 0.5 * z * (1 + torch.erf(z / 2**0.5))
    torch.testing.assert_close(layer(x), h + gelu @ layer.up.weight.T + layer.up.bias)


def test_it_cannot_be_merged():
    with pytest.raises(MergeError, match='nonlinearity'):
        BottleneckLinear(nn.Linear(6, 8), hidden=3).merge()


def test_in_a_backbone(micro_backbone):
    backbone = micro_backbone(adapters=dict(type='Bottleneck', reduction=4), trainable=('norms',))
    adapters = {id(parameter) for parameter in adapter_parameters(backbone)}
    assert len(adapters) == 4 * 2 * 2 * 2  # blocks, layers, down and up, weight and bias
    for name, parameter in backbone.named_parameters():
        assert parameter.requires_grad == (id(parameter) in adapters or '.norm' in name), name
    image = torch.randn(1, 3, 56, 56)
    assert backbone(image).levels[-1].streams == ('shared',)
