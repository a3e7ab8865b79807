"""A plain linear layer with one weight per task, which is left when all updates are folded."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from mtl.models.adapters.stream_layer import SeparateStreams
from mtl.models.dense import Linear
from mtl.ops.linear import linear
from mtl.protocols import Axis, SlimLayer


class TaskLinear(SlimLayer, SeparateStreams, Linear):
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

    def of_stream(self, x: Tensor, task: str | None = None, gelu: bool = False) -> Tensor:
        """See :class:`SeparateStreams`."""
        return linear(x, self.weight if task is None else self.tasks[task], self.bias, gelu)

    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`."""
        return {f'tasks.{task}': {0: out, 1: into} for task in self.tasks}
