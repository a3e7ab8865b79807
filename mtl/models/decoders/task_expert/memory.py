"""The multi-task feature memory: one feature map per task that is read and written at every level."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.ops.mixture_of_experts import memory_write


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
        k = memory.shape[-1]
        update = self.write_weight[:k, :, :k], self.write_bias[:k]
        return memory_write(memory, normed, feature, *update, self.gate_weight[:, :k], self.gate_bias)
