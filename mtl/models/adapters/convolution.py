"""The low-rank update of a convolution (as HF peft does it for LoRA, Hu et al., ICLR 2022)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.adapters.merging import Mergeable
from mtl.models.adapters.mtlora import Dropout, LowRankUpdate
from mtl.models.dense import convolution_sizes
from mtl.protocols import Axis


class LowRankConv2d(Mergeable, nn.Conv2d):
    """A frozen convolution with a shared low-rank update ``dW = s * B A`` of its kernel, seen as ``[out, in * k * k]``.

    ``B (A * x)`` is a convolution to ``rank`` channels followed by a 1x1 convolution. Without dropout it is part of the
    kernel, and the layer costs one convolution.

    Args:
        base: the layer to adapt, without groups; its parameters are taken over.
        rank: of the update.
        scale: ``s``.
        trainable_scale: learn it.
        dropout: on the input of the update.
    """

    tasks: tuple[str, ...] = ()  # shared by all

    def __init__(
        self, base: nn.Conv2d, rank: int, scale: float = 1.0, trainable_scale: bool = False, dropout: float = 0.0
    ) -> None:
        if base.groups > 1:
            raise ValueError(f'A convolution with {base.groups} groups has no low-rank update; leave it out.')
        super().__init__(**convolution_sizes(base), bias=base.bias is not None, device='meta')
        self.weight, self.bias = base.weight, base.bias
        self.shared = LowRankUpdate(math.prod(base.weight.shape[1:]), len(base.weight), rank, scale, trainable_scale)
        self.dropout = Dropout(dropout)

    def reset_parameters(self) -> None:
        """The base is taken over as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """``[B, in, H, W]`` to ``[B, out, H', W']``."""
        if self.merged is not None:
            return self._conv_forward(x, self.weight, self.bias)
        if not (self.training and self.dropout.p):
            return self._conv_forward(x, self.weight + self.delta_weight(), self.bias)
        A, B = self.shared.factors()
        update = self._conv_forward(self.dropout(x), A.view(-1, *self.weight.shape[1:]), None)
        return self._conv_forward(x, self.weight, self.bias) + F.conv2d(update, B[..., None, None])

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The parameters of the update."""
        return list(self.shared.parameters())

    def updates(self) -> Iterator[tuple[nn.Parameter, list[nn.Parameter]]]:
        """See :class:`mtl.protocols.AdapterLayer`."""
        yield self.shared.B, list(self.shared.parameters())

    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`."""
        columns = None if into is None else into.times(math.prod(self.kernel_size))
        return super().slim_axes(out, into) | {'shared.A': {1: columns}, 'shared.B': {0: out}}

    def delta_weight(self, task: str | None = None) -> Tensor:
        """``s * B A``, ``[out, in, k, k]``."""
        return self.shared.delta_weight().view_as(self.weight)
