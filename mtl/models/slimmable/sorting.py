"""Sorting units by importance, so that a prefix holds the important ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mtl.models.slimmable.axes import WidthTable
from mtl.models.slimmable.groups import WidthGroup


@torch.no_grad()
def sort_by_importance(
    model: nn.Module, table: WidthTable, optimizer: Optimizer | None = None
) -> dict[WidthGroup, Tensor]:
    """Permute the units of every group that has a measure, the most important first, in place.

    Reading and writing axes of a group are permuted alike, so the full network computes the same function. A narrow
    one keeps more of it than with units in random order (Cai et al., Once-for-All, ICLR 2020, sort channels by norm).

    Args:
        model: network.
        table: what slims in it; its :attr:`WidthTable.importance` decides.
        optimizer: what it keeps along the axes of a parameter, such as moments, moves with the parameter, and gradients
            do.

    Returns:
        Of each group, the former place of every unit.
    """
    orders = {group: measure().argsort(descending=True, stable=True) for group, measure in table.importance.items()}
    permute_units(model, table, orders, optimizer)
    return orders


@torch.no_grad()
def permute_units(
    model: nn.Module, table: WidthTable, orders: Mapping[WidthGroup, Tensor], optimizer: Optimizer | None = None
) -> None:
    """Permute the units of some groups in place, see :func:`sort_by_importance`.

    Args:
        orders: of each group, the former place of every unit.
    """
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, axes in table.tensors.items():
        if name in tensors:
            for tensor in (tensors[name], *_beside(tensors[name], optimizer)):
                for dim, units in axes.items():
                    if units.group in orders and tensor.shape[dim] == tensors[name].shape[dim]:
                        tensor.copy_(units.permute(tensor, dim, orders[units.group]))


def _beside(tensor: Tensor, optimizer: Optimizer | None) -> list[Tensor]:
    """The gradient of ``tensor``, and what an optimizer keeps along its axes.

    Such a tensor may have length 1 along an axis that it sums over, as the factored moments of Adafactor.
    """
    kept = () if optimizer is None else (tensor.grad, *optimizer.state.get(tensor, {}).values())
    return [
        value
        for value in kept
        if isinstance(value, Tensor)
        and value.dim() == tensor.dim()
        and all(length in (1, full) for length, full in zip(value.shape, tensor.shape, strict=True))
    ]


def importance_of_heads(qkv: nn.Linear, proj: nn.Linear, norm: nn.Module, heads: int) -> Tensor:
    """``[heads]``: Frobenius norm of each head's map from the normalised input to the output, ``W_proj W_value``."""
    values = _of_normalised(qkv, norm).unflatten(0, (3, heads, -1))[2]  # [heads, head_dim, in + 1]
    outputs = proj.weight.unflatten(1, (heads, -1)).transpose(0, 1)  # [heads, out, head_dim]
    return (outputs @ values).norm(dim=(1, 2))


def importance_of_hidden(fc1: nn.Linear, fc2: nn.Linear, norm: nn.Module) -> Tensor:
    """``[hidden]``: Frobenius norm of the map through each hidden unit, its nonlinearity left out."""
    return _of_normalised(fc1, norm).norm(dim=1) * fc2.weight.norm(dim=0)


def _of_normalised(layer: nn.Linear, norm: nn.Module) -> Tensor:
    """Weight and, as a last column, bias of ``layer`` as a map of what ``norm`` normalises, before scale and shift."""
    assert isinstance(norm, nn.LayerNorm)
    shift = layer.weight @ norm.bias + (0 if layer.bias is None else layer.bias)
    return torch.cat([layer.weight * norm.weight, shift[:, None]], 1)
