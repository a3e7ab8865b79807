"""The network of a runner, whatever is wrapped around it."""

from __future__ import annotations

from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside wrappers, which call it ``module``: of several processes, of test-time augmentation."""
    while hasattr(model, 'module'):
        model = model.module
    return model
