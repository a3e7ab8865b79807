"""The multi-task feature memory: one feature map per task that is read and written at every level."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.ops.mixture_of_experts import memory_write
from mtl.ops.pool import pooled
from mtl.ops.upsample import upsampled


class MemoryAccess(nn.Module):
    """Reading and writing the memories of all tasks at one level (ours; the paper states that both happen).

    * read: ``R(m) = W m + b`` of the normalised memory ``m = norm(M)``,
    * write: ``M + sigmoid(z) * u`` with ``u = U [m, f] + c`` and a gate ``z = v . [m, f] + d`` per pixel; ``f`` is
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


@dataclass
class Memories:
    """The memories of some tasks on their way through the levels, each level at a resolution of its own.

    A level reads the memory pooled to its resolution, and what it writes is added to the finest one, upsampled:
    ``M <- M + up(write(pool(M)))``. So a level costs as much as its own pixels. Pooling is done from level to level,
    and so is upsampling, at the end and once: ``M_L = M_1 + up(W_2 + up(W_3 + ...))``, with ``W_l`` what level ``l``
    changed. Levels of one resolution take over the memory as it is.

    Without a memory to read, the same adds up the features of the levels.
    """

    reads: bool
    steps: list[tuple[Tensor | None, Tensor]] = field(default_factory=list)  # per resolution: on entering and now

    def at(self, size: tuple[int, int]) -> Tensor | None:
        """The memory ``[T, B, H, W, k]`` that a level of ``size`` ``(H, W)`` finds, ``None`` if there is none yet."""
        if not self.steps:
            return None
        state = self.steps[-1][1]
        if state.shape[2:4] == size:
            return state
        return pooled(state.flatten(0, 1), size).unflatten(0, state.shape[:2]) if self.reads else None

    def keep(self, entered: Tensor | None, left: Tensor) -> None:
        """What a level made of the memory :meth:`at` its size."""
        if self.steps and self.steps[-1][1].shape == left.shape:
            self.steps[-1] = self.steps[-1][0], left
        else:
            self.steps.append((entered if self.steps else None, left))

    def total(self) -> Tensor:
        """The memory at the finest resolution."""
        total: Tensor | None = None
        for entered, left in reversed(self.steps):
            change = left if entered is None else left - entered
            if total is not None:
                change = change + upsampled(total.flatten(0, 1), left.shape[2:4]).unflatten(0, left.shape[:2])
            total = change
        assert total is not None
        return total
