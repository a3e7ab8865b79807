"""Less memory in training for a second forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar('Result')


def recomputed(function: Callable[..., Result], *arguments: object) -> Result:
    """``function(*arguments)``, of which only the arguments are kept for the backward pass, which calls it again."""
    if not torch.is_grad_enabled():
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False)
