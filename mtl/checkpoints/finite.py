"""Weights that are numbers: where one is not, a network is neither saved, nor evaluated, nor given away."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtl.errors import ExplainedError


class NotFiniteError(ExplainedError, ValueError):
    """Weights, a loss or a gradient with inf or NaN in it."""


def not_finite(state: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors in ``state`` that hold an inf or a NaN."""
    return [
        name
        for name, value in state.items()
        if isinstance(value, Tensor) and value.is_floating_point() and not torch.isfinite(value).all()
    ]


def check_finite(state: Mapping[str, Tensor], what: str, advice: str) -> None:
    """Raise :class:`NotFiniteError` where a tensor of ``state`` is not finite.

    Args:
        state: weights by name.
        what: whose they are, the subject of the sentence.
        advice: what to do, a sentence.
    """
    wrong = not_finite(state)
    if wrong:
        raise NotFiniteError(
            f'{what} holds inf or NaN in {len(wrong)} of {len(state)} tensors, first in {wrong[0]}. {advice}'
        )
