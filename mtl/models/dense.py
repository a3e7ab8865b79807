"""Linear layer and MLP that call :func:`mtl.ops.linear.linear`, and plain layers in general."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mtl.ops.linear import linear


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`.

    Args:
        base: layer whose parameters are taken over.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device='meta')
        self.weight, self.bias = base.weight, base.bias

    def reset_parameters(self) -> None:
        """The weights of ``base`` are used unchanged."""

    def forward(self, x: Tensor, *, gelu: bool = False) -> Tensor:
        """See :func:`linear`."""
        return linear(x, self.weight, self.bias, gelu)

    def matrix(self) -> Tensor | None:
        """``[out, in]``, by which the layer multiplies at present; ``None`` where no matrix does what it does."""
        return self.weight


class Mlp(nn.Module):
    """timm's ``Mlp``, with the GELU in the kernel of the first layer where it can be.

    Args:
        base: module whose layers are taken over, under their names.
    """

    fc1: nn.Module
    act: nn.Module
    drop1: nn.Module
    norm: nn.Module
    fc2: nn.Module
    drop2: nn.Module

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        for name, layer in base.named_children():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C]`` to ``[..., C]``."""
        fuses = isinstance(self.fc1, Linear) and isinstance(self.act, nn.GELU) and self.act.approximate == 'none'
        hidden = self.fc1(x, gelu=True) if fuses else self.act(self.fc1(x))
        return self.drop2(self.fc2(self.norm(self.drop1(hidden))))


def convolution_sizes(layer: nn.Conv2d) -> dict[str, Any]:
    """Arguments of a convolution that are those of ``layer``."""
    names = ('in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups', 'padding_mode')
    return {name: getattr(layer, name) for name in names}


def plain_layer(layer: nn.Module, weight: Tensor) -> nn.Linear | nn.Conv2d:
    """A layer without adapters: ``weight`` with the sizes and the bias of ``layer``.

    Raises:
        TypeError: ``layer`` is neither linear nor a convolution.
    """
    if isinstance(layer, nn.Conv2d):
        plain: nn.Linear | nn.Conv2d = nn.Conv2d(**convolution_sizes(layer), bias=False, device='meta')
        plain.bias = layer.bias
    elif isinstance(layer, nn.Linear):
        plain = Linear(layer)
    else:
        raise TypeError(f'A {type(layer).__name__} is neither an nn.Linear nor an nn.Conv2d.')
    plain.weight = nn.Parameter(weight)
    return plain.train(layer.training)
