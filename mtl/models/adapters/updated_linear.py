"""A linear layer whose weight is the frozen one plus an update: what most adapters are."""

from __future__ import annotations

from torch import Tensor

from mtl.models.adapters.merging import Mergeable
from mtl.models.adapters.stream_layer import OneOrMore, SeparateStreams
from mtl.models.dense import Linear
from mtl.ops.linear import linear


class UpdatedLinear(Mergeable, SeparateStreams, Linear):
    """``(W + dW) x + b`` of the shared stream, ``(W + dW_t) x_t + b`` of the stream of each of its ``tasks``.

    A subclass says what ``dW`` is (:meth:`delta_weight`), of which parameters (:meth:`adapter_parameters`), and how
    they slim (:meth:`slim_axes`); and it sets ``tasks``. Streams, merging and folding follow. It is built with the
    layer to adapt, whose parameters it takes over. The weight is added up in every forward pass; a kind with a shorter
    way to its output has its own :meth:`of_stream`.
    """

    def forward(
        self, x: OneOrMore, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> OneOrMore:
        """See :class:`mtl.models.adapters.stream_layer.StreamLayer`; with a merged weight, a tensor meets that."""
        if isinstance(x, Tensor) and self.merged is not None:
            return linear(x, self.weight, self.bias, gelu)
        return super().forward(x, tasks, keep_shared, gelu)

    def of_stream(self, x: Tensor, task: str | None = None, gelu: bool = False) -> Tensor:
        """See :class:`SeparateStreams`."""
        return linear(x, self.weight_of(task), self.bias, gelu)

    def matrix(self) -> Tensor:
        """See :meth:`mtl.models.dense.Linear.matrix`; with the shared update."""
        return self.weight_of()
