"""What every decoder returns."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class DecoderOutput:
    """One feature map a task, and what else a decoder has to say.

    Args:
        maps: ``{task: [B, C_task, H, W]}``, the features of the heads.
        intermediate: earlier maps of the same form, one entry a level, that training also supervises.
        intermediate_weight: weight of their mean loss beside the loss of :attr:`maps`.
        losses: terms of the decoder itself, weighted, by name.
        gates: of a mixture of experts, one entry a level: ``[T, B, H, W, N]``, positive with sum 1 over the last axis,
            tasks in the order of :attr:`maps`, without gradient.
    """

    maps: dict[str, Tensor]
    intermediate: tuple[dict[str, Tensor], ...] = ()
    intermediate_weight: float = 0.0
    losses: dict[str, Tensor] = field(default_factory=dict)
    gates: tuple[Tensor, ...] = ()
