"""The experts of a level: small networks that take a feature apart into task-generic ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Experts(nn.Module):
    """``N`` experts ``E_n(x) = W_n a_n + b_n`` with ``a_n = gelu(depthwise3x3(V_n x + c_n))`` (ours).

    The experts stand side by side as the hidden units of one network, ``h`` units each. So a mixture of them takes no
    expert's output at all: the gates multiply the hidden units,

        sum_n g_n E_n(x) = [W_1 ... W_N] (g_1 a_1, ..., g_N a_N) + sum_n g_n b_n,

    which is one matrix product (:meth:`mixture`). Where several tasks mix the experts of *one* feature, their outputs
    are computed once instead (:meth:`outputs`) and mixed by :func:`mix`. Both give the same numbers.

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
        weight = self.expand_weight[:, :hidden, : x.shape[-1]].flatten(0, 1)
        units = F.linear(x.flatten(0, 1), weight, self.expand_bias[:, :hidden].flatten())
        units = F.conv2d(
            units.permute(0, 3, 1, 2),
            self.depthwise_weight[:, :hidden].flatten(0, 1).unsqueeze(1),
            self.depthwise_bias[:, :hidden].flatten(),
            padding=1,
            groups=units.shape[-1],
        )
        return F.gelu(units).permute(0, 2, 3, 1).unflatten(-1, (len(self), hidden)).unflatten(0, x.shape[:2])

    def mixture(self, active: Tensor, gates: Tensor, channels: int) -> Tensor:
        """Mixture of each task's own experts, its first ``channels`` channels.

        Args:
            active: ``[T, B, H, W, N, h]``.
            gates: ``[T, B, H, W, N]``.
            channels: ``k``.

        Returns:
            ``[T, B, H, W, k]``.
        """
        weight = self.reduce_weight[:, :channels, : active.shape[-1]].transpose(1, 2).flatten(0, 1)
        bias = gates.flatten(0, 3) @ self.reduce_bias[:, :channels]
        gated = (active * gates.unsqueeze(-1)).flatten(0, 3).flatten(1)
        return torch.addmm(bias, gated, weight).unflatten(0, gates.shape[:4])

    def outputs(self, active: Tensor, channels: int) -> Tensor:
        """``E_n(x)`` of one feature: ``active`` ``[1, B, H, W, N, h]`` to ``[B * H * W, N, channels]``."""
        units = active.flatten(0, 3).transpose(0, 1)
        weight = self.reduce_weight[:, :channels, : active.shape[-1]].transpose(1, 2)
        return torch.baddbmm(self.reduce_bias[:, None, :channels], units, weight).transpose(0, 1)


def mix(outputs: Tensor, gates: Tensor) -> Tensor:
    """Mixtures of ``T`` tasks, of the same experts.

    Args:
        outputs: ``[B * H * W, N, k]``.
        gates: ``[T, B, H, W, N]``.

    Returns:
        ``[T, B, H, W, k]``.
    """
    mixed = gates.flatten(1, 3).transpose(0, 1) @ outputs
    return mixed.transpose(0, 1).unflatten(1, gates.shape[1:4])
