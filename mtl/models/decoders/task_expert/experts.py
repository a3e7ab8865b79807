"""The experts of a level: small networks that take a feature apart into task-generic ones."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mtl.ops.mixture_of_experts import expert_outputs, expert_units, mix_units


class Experts(nn.Module):
    """``N`` experts ``E_n(x) = W_n a_n + b_n`` with ``a_n = gelu(depthwise3x3(V_n x + c_n))`` (ours).

    The experts stand side by side as the hidden units of one network, ``h`` units each. So a mixture of them takes no
    expert's output at all: the gates multiply the hidden units,

        sum_n g_n E_n(x) = [W_1 ... W_N] (g_1 a_1, ..., g_N a_N) + sum_n g_n b_n,

    which is one matrix product (:meth:`mixture`). Where several tasks mix the experts of *one* feature, their outputs
    are computed once instead (:meth:`outputs`), and :func:`mtl.ops.mixture_of_experts.mix_outputs` mixes them. Both
    give the same numbers.

    Every axis of channels or hidden units can be used up to a prefix, see :class:`TaskExpertDecoder`.

    Args:
        experts: ``N``.
        channels: ``D``, of input and output.
        hidden: ``h``, hidden units of each expert.
    """

    def __init__(self, experts: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.expand_weight = nn.Parameter(torch.empty(experts, hidden, channels))
        self.expand_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.depthwise_weight = nn.Parameter(torch.empty(experts, hidden, 3, 3))
        self.depthwise_bias = nn.Parameter(torch.zeros(experts, hidden))
        self.reduce_weight = nn.Parameter(torch.empty(experts, channels, hidden))
        self.reduce_bias = nn.Parameter(torch.zeros(experts, channels))
        # variance is kept: of a linear map of `channels` inputs, of 9 inputs before GELU, of `hidden` inputs
        nn.init.normal_(self.expand_weight, std=channels**-0.5)
        nn.init.normal_(self.depthwise_weight, std=math.sqrt(2 / 9))
        nn.init.normal_(self.reduce_weight, std=hidden**-0.5)

    def __len__(self) -> int:
        return len(self.expand_weight)

    def active(self, x: Tensor, hidden: int) -> Tensor:
        """The hidden units ``a_n`` of the experts.

        Args:
            x: ``[S, B, H, W, k]``, the first ``k`` channels of ``S`` features.
            hidden: units of each expert, a prefix.

        Returns:
            ``[S, B, H, W, N, hidden]``.
        """
        return expert_units(
            x,
            self.expand_weight[:, :hidden, : x.shape[-1]],
            self.expand_bias[:, :hidden],
            self.depthwise_weight[:, :hidden],
            self.depthwise_bias[:, :hidden],
        )

    def mixture(self, active: Tensor, gates: Tensor, channels: int) -> Tensor:
        """Mixture of each task's own experts, its first ``channels`` channels.

        Args:
            active: ``[T, B, H, W, N, h]``.
            gates: ``[T, B, H, W, N]``.
            channels: ``k``.

        Returns:
            ``[T, B, H, W, k]``.
        """
        return mix_units(active, gates, *self._reduction(active, channels))

    def outputs(self, active: Tensor, channels: int) -> Tensor:
        """``E_n(x)`` of one feature: ``active`` ``[1, B, H, W, N, h]`` to ``[B * H * W, N, channels]``."""
        return expert_outputs(active, *self._reduction(active, channels))

    def _reduction(self, active: Tensor, channels: int) -> tuple[Tensor, Tensor]:
        return self.reduce_weight[:, :channels, : active.shape[-1]], self.reduce_bias[:, :channels]
