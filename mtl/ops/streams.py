"""What flows through the last block of a level: the shared stream, and the tasks' once they have begun."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mtl.ops.low_rank_streams import LowRankStreams, NormedStreams, TaskStreams


class Streams(NamedTuple):
    """The shared stream and those of ``T`` tasks.

    Attributes:
        shared: ``[N, C]``; ``None`` where nobody reads it.
        own: of the tasks; ``None`` before they begin: then each task reads the shared stream.
    """

    shared: Tensor | None
    own: TaskStreams | None = None

    @classmethod
    def split(cls, streams: Tensor) -> Streams:
        """From ``[1 + T, N, C]``, the shared stream first."""
        return cls(streams[0], LowRankStreams.of_rank_0(streams[1:]) if len(streams) > 1 else None)

    def need_shared(self) -> Tensor:
        """The shared stream, where something is computed from it."""
        assert self.shared is not None, 'the shared stream was left out, and something reads it'
        return self.shared

    def stacked(self) -> Tensor:
        """``[1 + T, N, C]``, or ``[T, N, C]`` without the shared stream, written out."""
        shared = [] if self.shared is None else [self.shared[None]]
        return torch.cat([*shared, *([] if self.own is None else [self.own.dense()])])

    def map(self, function: Callable[[Tensor], Tensor], keep_shared: bool = True) -> Streams:
        """``function``, which acts on each row, of every stream; without the shared one if nobody reads it."""
        if self.own is None:
            return Streams(function(self.need_shared()))
        if self.shared is None or not keep_shared:
            return Streams(None, LowRankStreams.of_rank_0(function(self.own.dense())))
        return Streams.split(function(self.stacked()))

    def written_out(self) -> Streams:
        """The same, the tasks' streams as plain tensors."""
        return self if self.own is None else Streams(self.shared, LowRankStreams.of_rank_0(self.own.dense()))

    def scaled(self, gamma: Tensor) -> Streams:
        """Channels of every stream times ``gamma`` ``[C]``."""
        shared = None if self.shared is None else self.shared * gamma
        return Streams(shared, None if self.own is None else self.own.low_rank().scaled(gamma))

    def normed(self, norm: nn.Module) -> Streams:
        """``norm`` of every stream."""
        return Streams(norm(self.need_shared()), None if self.own is None else NormedStreams(self.own.low_rank(), norm))

    def plus(self, other: Streams, keep: Tensor | None = None) -> Streams:
        """Sums, as of a residual path and a branch; a task whose stream begins in ``other`` has the shared path so far.

        Args:
            other: the branch; without a shared stream, so is the sum.
            keep: stochastic depth: factors ``[1 + T, N, 1]`` of the branch; ``None`` for 1.
        """
        branch, own = other.shared, None if other.own is None else other.own.low_rank()
        if keep is not None:
            branch = None if branch is None else branch * keep[0]
            own = None if own is None else own.times(keep[1:])
        if own is not None:
            if self.own is None:
                own = own._replace(common=self.need_shared() + own.common)
            else:
                own = self.own.low_rank().plus(own)
        return Streams(None if branch is None else self.need_shared() + branch, own)
