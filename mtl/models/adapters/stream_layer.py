"""Layers in which the streams of tasks begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams
from mtl.protocols import Names

OneOrMore = TypeVar('OneOrMore', Tensor, Streams)


class StreamLayer(nn.Module, ABC):
    """A linear layer with an output of its own for each of some tasks; mixed into an ``nn.Linear``.

    Attributes:
        tasks: names of the tasks.
        needs_all_tasks: whether the shared output depends on every task, so that none may be left out.
    """

    tasks: Names
    needs_all_tasks: bool = False

    @abstractmethod
    def forward(
        self, x: OneOrMore, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> OneOrMore:
        """Outputs of the shared stream and of the tasks' streams.

        Args:
            x: the shared stream alone, ``[..., in]``, which gives its output ``[..., out]``; or :class:`Streams` of
                rows ``[N, in]``, which give :class:`Streams`. Where the tasks have no stream yet, theirs begin here.
            tasks: names of the ``T`` tasks whose streams run. Where none of them is in :attr:`tasks`, all streams of
                ``x`` pass as the shared one does.
            keep_shared: compute the shared output too; off where nobody reads it.
            gelu: of all outputs, give the GELU.
        """

    def adds_low_rank(self, tasks: tuple[str, ...]) -> bool:
        """Whether the outputs of ``tasks`` differ from one common tensor by products of low rank only."""
        return False


class SeparateStreams(StreamLayer):
    """A :class:`StreamLayer` in which every output depends on the input of its own stream alone."""

    @abstractmethod
    def of_stream(self, x: Tensor, task: str | None = None, gelu: bool = False) -> Tensor:
        """Output ``[..., out]`` of one stream.

        Args:
            x: its input, ``[..., in]``.
            task: whose stream it is, one of :attr:`tasks`; ``None`` for the shared one.
            gelu: give the GELU of the output.
        """

    def forward(
        self, x: OneOrMore, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> OneOrMore:
        """See :class:`StreamLayer`."""
        if isinstance(x, Tensor):
            return self.of_stream(x, gelu=gelu)
        if not any(task in self.tasks for task in tasks):
            return x.map(partial(self.of_stream, gelu=gelu), keep_shared)
        streams = [x.need_shared()] * len(tasks) if x.own is None else x.own.dense()
        names = [task if task in self.tasks else None for task in tasks]
        own = [self.of_stream(stream, name, gelu) for stream, name in zip(streams, names, strict=True)]
        shared = self.of_stream(x.need_shared(), gelu=gelu) if keep_shared else None
        return Streams(shared, LowRankStreams.of_rank_0(torch.stack(own)))
