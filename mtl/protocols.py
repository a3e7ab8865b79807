"""What the parts of a network offer: decoders, and layers with adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn


class Projection(NamedTuple):
    """A linear map of some streams of a level, which a decoder asks the neck for.

    Attributes:
        streams: ``S`` names: tasks, or ``'shared'``. A task without a stream of its own reads the shared one.
        weights: ``[S, out, C]``.
    """

    streams: tuple[str, ...]
    weights: Tensor


@dataclass(frozen=True)
class DecoderInput:
    """The levels of the pyramid, from fine to coarse, as a decoder takes them.

    Args:
        levels: of each level: ``{task: [B, C, H, W]}``; of a decoder with :meth:`Decoder.wants`,
            ``[S, B, H, W, out]`` by what it calls them.
        own: of each level the tasks with a stream of their own; the others read the shared one.
    """

    levels: tuple[Mapping[Hashable, Tensor], ...]
    own: tuple[frozenset[str], ...]

    def of(self, name: Hashable) -> list[Tensor]:
        """The tensor of that name of every level."""
        return [level[name] for level in self.levels]


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
    """The levels of a pyramid go in, one feature map per task comes out.

    The model builds it with ``in_channels``, channels of the pyramid's levels, and ``tasks``, names of the tasks.

    Attributes:
        out_channels: channels of the map by task.
        reads_shared: whether it needs the shared stream of every level, even where each task has its own.
    """

    out_channels: dict[str, int]
    reads_shared: bool = False

    def wants(
        self, own: Sequence[frozenset[str]], tasks: tuple[str, ...]
    ) -> Sequence[Mapping[Hashable, Projection]] | None:
        """The linear maps with which the decoder begins, by any names, for each level.

        The neck does them; ``None`` for the levels as they are.

        Args:
            own: of each level, which of ``tasks`` have a stream of their own.
            tasks: those that run.
        """
        return None

    @abstractmethod
    def forward(self, features: DecoderInput, tasks: Sequence[str]) -> DecoderOutput:
        """Maps ``[B, C_task, H, W]`` of ``tasks``, which depend on no other task."""

    def each_map(self, features: DecoderInput, tasks: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Each of ``tasks`` with its map, for callers that need one at a time.

        A decoder whose tasks are independent makes a map only when it is asked for: no two take memory at once.
        """
        yield from self(features, tasks).maps.items()


def adapter_layers(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Every layer that fulfils the adapter protocol, with its name."""
    for name, layer in module.named_modules():
        if callable(getattr(layer, 'adapter_parameters', None)):
            yield name, layer


def adapter_parameters(module: nn.Module) -> list[nn.Parameter]:
    """All adapter parameters below ``module``."""
    return [parameter for _, layer in adapter_layers(module) for parameter in layer.adapter_parameters()]
