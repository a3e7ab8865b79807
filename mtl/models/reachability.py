"""Parameters that no loss can ever move."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.protocols import Network, adapter_layers


def freeze_unreachable(model: Network, size: int) -> list[str]:
    """Freeze the parameters that no logit depends on, and name them.

    For instance the shared update of the very last MLP layer, whose shared output nobody reads. A probe image tells, so
    no architecture needs a rule of its own: no path of the computation graph leads to a parameter, or (where streams
    are stacked, a path exists but carries nothing) a low-rank update whose ``B`` gets a gradient of exact zeros.
    Frozen, they stay out of the optimizer and do not make DistributedDataParallel wait for a gradient.

    Args:
        model: network.
        size: side of the square probe image.
    """
    names, parameters = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.startswith('loss_weighting.'):
            names.append(name)
            parameters.append(parameter)
    if not parameters:
        return []
    gradients = gradients_of_logits(model, parameters, size)
    gradient_of = dict(zip(map(id, parameters), gradients, strict=True))
    unreachable = {key for key, gradient in gradient_of.items() if gradient is None}
    for _, layer in adapter_layers(model):
        for first, group in layer.updates():
            gradient = gradient_of.get(id(first))
            if gradient is not None and not gradient.any():
                unreachable |= set(map(id, group))
    frozen = [name for name, parameter in zip(names, parameters, strict=True) if id(parameter) in unreachable]
    for parameter in parameters:
        if id(parameter) in unreachable:
            parameter.requires_grad_(False)
    return frozen


def gradients_of_logits(model: Network, parameters: Sequence[nn.Parameter], size: int) -> tuple[Tensor | None, ...]:
    """Gradients of the sum of all logits of a probe image, ``None`` where no path leads to a parameter.

    Args:
        model: network.
        parameters: all of them must want gradients.
        size: side of the square probe image.
    """
    training = model.training
    model.eval()
    with torch.enable_grad():
        draw = torch.Generator().manual_seed(0)  # leaves the run's own random numbers alone
        probe = torch.randn(1, 3, size, size, generator=draw).to(parameters[0])
        total = torch.stack([values.sum() for values in model.logits(probe).values()]).sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    model.train(training)
    return gradients
