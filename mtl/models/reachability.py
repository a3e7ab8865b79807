"""Parameters that no loss can ever move."""

from __future__ import annotations

import torch
from torch import nn


def freeze_unreachable(model: nn.Module, size: int) -> list[str]:
    """Freeze the parameters that no logit depends on, and name them.

    For instance the shared update of the very last MLP layer, whose shared output nobody reads. The computation graph
    of a probe image tells, so no architecture needs a rule of its own. Frozen, they stay out of the optimizer and do
    not make DistributedDataParallel wait for a gradient.

    Args:
        model: a model with ``logits(inputs)``.
        size: side of the square probe image.
    """
    names, parameters = [], []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not name.startswith('loss_weighting.'):
            names.append(name)
            parameters.append(parameter)
    if not parameters:
        return []
    training = model.training
    model.eval()
    with torch.enable_grad():
        probe = torch.zeros(1, 3, size, size, device=parameters[0].device, dtype=parameters[0].dtype)
        total = sum(values.sum() for values in model.logits(probe).values())
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    model.train(training)
    unreachable = []
    for name, parameter, gradient in zip(names, parameters, gradients, strict=True):
        if gradient is None:
            parameter.requires_grad_(False)
            unreachable.append(name)
    return unreachable
