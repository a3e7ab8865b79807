"""A plain linear layer with one weight per task, which is left when all updates are folded."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import torch
from torch import Tensor, nn

from mtl.models.adapters.stream_layer import OneOrMore, StreamLayer
from mtl.models.dense import Linear
from mtl.ops.linear import linear
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams
from mtl.protocols import Axis, SlimLayer


class TaskLinear(SlimLayer, StreamLayer, Linear):
    """A linear layer with a weight of its own for the stream of each task; the bias is shared.

    What :class:`MTLoRALinear` with ``base_input='task'`` becomes when all its updates are folded.

    Args:
        base: the layer of the shared stream.
        tasks: names of the tasks.
    """

    tasks: nn.ParameterDict

    def __init__(self, base: nn.Linear, tasks: Iterable[str]) -> None:
        super().__init__(base)
        self.tasks = nn.ParameterDict({task: nn.Parameter(base.weight.detach().clone()) for task in tasks})

    def forward(
        self, x: OneOrMore, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> OneOrMore:
        """See :class:`StreamLayer`."""
        if isinstance(x, Tensor):
            return linear(x, self.weight, self.bias, gelu)
        if not any(task in self.tasks for task in tasks):
            return x.map(partial(self, gelu=gelu), keep_shared)
        streams = [x.need_shared()] * len(tasks) if x.own is None else x.own.dense()
        own = [linear(stream, self.tasks[task], self.bias, gelu) for stream, task in zip(streams, tasks, strict=True)]
        shared = linear(x.need_shared(), self.weight, self.bias, gelu) if keep_shared else None
        return Streams(shared, LowRankStreams.of_rank_0(torch.stack(own)))

    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`."""
        return {f'tasks.{task}': {0: out, 1: into} for task in self.tasks}
