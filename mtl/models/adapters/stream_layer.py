"""Layers in which the streams of tasks begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from torch import Tensor, nn

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
