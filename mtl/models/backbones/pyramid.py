"""What backbones give: a pyramid whose levels are stacks of streams."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

SHARED = 'shared'


class BaseLevel:
    """One resolution of the pyramid.

    Attributes:
        features: ``[S, B, C, H, W]``, one entry a stream.
        streams: names of the ``S`` streams: ``'shared'``, then one per task. Where every task has its own and nothing
            follows, the shared stream is left out.
    """

    features: Tensor
    streams: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)``."""
        return tuple(self.features.shape[-2:])

    def has_own(self, tasks: tuple[str, ...]) -> bool:
        """Whether any of ``tasks`` has a stream of its own; where none has, all read the shared one."""
        return any(task in self.streams and task != SHARED for task in tasks)

    def of(self, task: str) -> Tensor:
        """The task's own stream ``[B, C, H, W]``, or the shared one where it has none."""
        return self.features[self._index(task)]

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """The streams of ``tasks`` as ``[T, B, C, H, W]``; a view where each has its own in order, or none has."""
        if self.streams[-len(tasks) :] == tasks:
            return self.features[-len(tasks) :]
        indices = [self._index(task) for task in tasks]
        if len(set(indices)) == 1:
            return self.features[indices[:1]].expand(len(tasks), -1, -1, -1, -1)
        return self.features[indices]

    def streams_apart(self) -> tuple[Tensor, ...]:
        """Tensors ``[S, B, ...]`` that hold every stream once and from which :attr:`features` follow."""
        return (self.features,)

    def _index(self, task: str) -> int:
        return self.streams.index(task if task in self.streams else SHARED)


@dataclass(frozen=True)
class Level(BaseLevel):
    """A level of features that are there. Arguments: see :class:`BaseLevel`."""

    features: Tensor
    streams: tuple[str, ...] = (SHARED,)


@dataclass(frozen=True)
class PyramidFeatures:
    """Levels from fine to coarse, with their strides in input pixels."""

    levels: tuple[BaseLevel, ...]
    strides: tuple[int, ...]

    def of(self, task: str) -> list[Tensor]:
        """``[B, C, H, W]`` of every level for ``task``."""
        return [level.of(task) for level in self.levels]
