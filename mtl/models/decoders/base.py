"""What every decoder offers and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from mtl.models.backbones.pyramid import PyramidFeatures


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
        choices: what the ``N`` gates choose from, e.g. ``('expert_1', 'expert_2', 'memory')``.
    """

    maps: dict[str, Tensor]
    intermediate: tuple[dict[str, Tensor], ...] = ()
    intermediate_weight: float = 0.0
    losses: dict[str, Tensor] = field(default_factory=dict)
    gates: tuple[Tensor, ...] = ()
    choices: tuple[str, ...] = ()


class Decoder(nn.Module, ABC):
    """A pyramid of streams goes in, one feature map a task comes out.

    The model builds it with ``in_channels``, channels of the pyramid's levels, and ``tasks``, names of the tasks.

    Attributes:
        out_channels: channels of the map by task.
        reads_shared: whether it needs the shared stream of every level, even where each task has its own.
    """

    out_channels: dict[str, int]
    reads_shared: bool = False

    @abstractmethod
    def forward(self, features: PyramidFeatures, tasks: Sequence[str]) -> DecoderOutput:
        """Maps ``[B, C_task, H, W]`` of ``tasks``, which depend on no other task."""

    def each_map(self, features: PyramidFeatures, tasks: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Each of ``tasks`` with its map, for whoever needs one at a time.

        A decoder whose tasks are apart makes a map only when it is asked for: no two take memory at once.
        """
        yield from self(features, tasks).maps.items()
