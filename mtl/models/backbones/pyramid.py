"""What backbones give and decoders take: a pyramid whose levels are stacks of streams."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

SHARED = 'shared'


@dataclass(frozen=True)
class Level:
    """One resolution of the pyramid.

    Args:
        features: ``[S, B, C, H, W]``, one entry a stream.
        streams: names of the ``S`` streams: ``'shared'``, then one a task. Where every task has its own and nothing
            follows, the shared stream is left out.
    """

    features: Tensor
    streams: tuple[str, ...] = (SHARED,)

    def of(self, task: str) -> Tensor:
        """The task's own stream ``[B, C, H, W]``, or the shared one where it has none."""
        return self.features[self._index(task)]

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """The streams of ``tasks`` as ``[T, B, C, H, W]``; a view where each has its own, in order."""
        if self.streams[-len(tasks) :] == tasks:
            return self.features[-len(tasks) :]
        return self.features[[self._index(task) for task in tasks]]

    def _index(self, task: str) -> int:
        return self.streams.index(task if task in self.streams else SHARED)


@dataclass(frozen=True)
class PyramidFeatures:
    """Levels from fine to coarse, with their strides in input pixels."""

    levels: tuple[Level, ...]
    strides: tuple[int, ...]

    def of(self, task: str) -> list[Tensor]:
        """``[B, C, H, W]`` of every level for ``task``."""
        return [level.of(task) for level in self.levels]
