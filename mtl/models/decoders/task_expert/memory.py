"""The multi-task feature memory: one feature map a task that is read and written at every level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def prefix_norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    """Norm over the last axis of ``x``, the first ``k`` of the norm's channels."""
    channels = x.shape[-1]
    return F.layer_norm(x, (channels,), norm.weight[:channels], norm.bias[:channels], norm.eps)


class MemoryAccess(nn.Module):
    """Reading and writing the memories of all tasks at one level (ours; the paper states that both happen).

    * read: ``R(m) = W m + b`` of the normalised memory ``m = norm(M)``,
    * write: ``M + sigmoid(z) * u`` with ``u = U [m, f] + c`` and a gate ``z = v . [m, f] + d`` a pixel, where ``f`` is
      the feature that the mixture of experts gave.

    Both are shared by the tasks. The weights are ``[out, sources, D]``, so that a prefix of the channels is a prefix of
    each source.

    Args:
        channels: ``D``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.read_weight = nn.Parameter(torch.empty(channels, channels))
        self.read_bias = nn.Parameter(torch.zeros(channels))
        self.write_weight = nn.Parameter(torch.empty(channels, 2, channels))
        self.write_bias = nn.Parameter(torch.zeros(channels))
        self.gate_weight = nn.Parameter(torch.zeros(2, channels))
        self.gate_bias = nn.Parameter(torch.zeros(1))
        nn.init.normal_(self.read_weight, std=channels**-0.5)
        nn.init.normal_(self.write_weight, std=(2 * channels) ** -0.5)

    def read(self, normed: Tensor) -> Tensor:
        """``R(m)`` of ``m`` ``[T, B, H, W, k]``."""
        channels = normed.shape[-1]
        return F.linear(normed, self.read_weight[:channels, :channels], self.read_bias[:channels])

    def write(self, memory: Tensor, normed: Tensor, feature: Tensor) -> Tensor:
        """The new memory; ``memory``, ``normed`` (``m``) and ``feature`` are ``[T, B, H, W, k]``."""
        channels = memory.shape[-1]
        from_memory, from_feature = self.write_weight[:channels, :, :channels].unbind(1)
        update = F.linear(normed.flatten(0, 3), from_memory, self.write_bias[:channels])
        update = torch.addmm(update, feature.flatten(0, 3), from_feature.T).view_as(memory)
        openness = normed @ self.gate_weight[0, :channels] + feature @ self.gate_weight[1, :channels] + self.gate_bias
        return torch.addcmul(memory, openness.sigmoid().unsqueeze(-1), update)
