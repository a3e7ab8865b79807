"""A level of the pyramid whose task streams have not passed their patch merging yet."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

from mtl.models.adapters.low_rank import MTLoRALinear
from mtl.models.backbones.pyramid import SHARED, Level
from mtl.ops.linear import linear
from mtl.ops.low_rank_streams import LowRankStreams, norm_and_project


class MergingLevel(Level):
    """A level after patch merging, done for the task streams when a decoder asks for them.

    Patch merging is a norm of 2 x 2 patches (``4 C``) followed by a bias-free linear map ``R`` to ``2 C``. Task
    streams go nowhere but into a decoder, and where that begins with a linear map ``P`` to few channels,
    ``P (R n) = (P R) n``: one small product instead of a large and a small one. So :meth:`projected` never computes
    ``R n``; every other way to the features does.

    Args:
        shared: merged shared stream ``[B, 2 C, H / 2, W / 2]``.
        own: streams of the tasks before merging, ``[., B, H, W, C]``.
        tasks: names of the ``T`` tasks.
        merging: timm's ``PatchMerging``.
    """

    def __init__(self, shared: Tensor, own: LowRankStreams, tasks: tuple[str, ...], merging: nn.Module) -> None:
        # the parent is a frozen dataclass whose `features` are computed here
        self.__dict__.update(shared=shared, own=own, streams=(SHARED, *tasks), merging=merging)

    @cached_property
    def features(self) -> Tensor:
        """``[1 + T, B, 2 C, H / 2, W / 2]``."""
        merged = self.merging(self._dense.flatten(0, 1)).unflatten(0, self._dense.shape[:2])
        return torch.cat([self.shared[None], merged.permute(0, 1, 4, 2, 3)])

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.shared.shape[-2:])

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """See :meth:`Level.stacked`; the shared stream alone needs no merging of the others."""
        return super().stacked(tasks) if self.has_own(tasks) else self.shared.expand(len(tasks), -1, -1, -1, -1)

    def streams_apart(self) -> tuple[Tensor, ...]:
        """The shared stream after merging, the tasks' before."""
        return self.shared[None], self._dense

    @cached_property
    def _dense(self) -> Tensor:
        return self.own.dense()

    def projected(self, tasks: tuple[str, ...], weights: Tensor) -> Tensor:
        """See :meth:`Level.projected`."""
        reduction = self._reduction
        if reduction is None or not set(tasks) <= set(self.streams[1:]) or not self._composing_pays(weights):
            return super().projected(tasks, weights)
        common, z, B = self.own.of([self.streams.index(task) - 1 for task in tasks])
        merged = LowRankStreams(patches(common), patches(z), B)
        composed = linear(weights.flatten(0, 1), reduction.T).unflatten(0, weights.shape[:2])
        return norm_and_project(merged, self.merging.norm, composed).unflatten(1, (-1, *self.size))

    def _composing_pays(self, weights: Tensor) -> bool:
        if torch.compiler.is_compiling():  # one graph for all image sizes
            return True
        (_, n_out, merged), patch = weights.shape, self.merging.reduction.in_features
        return composing_pays(self.shared.numel() // merged, patch, merged, n_out)

    @cached_property
    def _reduction(self) -> Tensor | None:
        """``R`` ``[2 C, 4 C]``; ``None`` where a dropout makes it no fixed matrix."""
        reduction = self.merging.reduction
        if not isinstance(reduction, MTLoRALinear):
            return reduction.weight
        drops = reduction.training and reduction.dropout.p > 0
        return None if drops else reduction.base_weight + reduction.delta_weight()


def composing_pays(patches: int, n_patch: int, n_merged: int, n_out: int) -> bool:
    """Whether ``P R`` and one product are fewer multiplications than two products (not so on a tiny image).

    Args:
        patches: rows.
        n_patch, n_merged, n_out: ``R`` is ``[n_merged, n_patch]``, ``P`` is ``[n_out, n_merged]``.
    """
    return n_out * n_merged * n_patch + patches * n_patch * n_out < patches * n_merged * (n_patch + n_out)


def patches(x: Tensor) -> Tensor:
    """Patches of ``[S, B, H, W, K]`` as ``[S, N, 4, K]``, their pixels in the order of timm's ``PatchMerging``."""
    x = x.flatten(1, 2).unflatten(1, (-1, 2)).unflatten(3, (-1, 2))  # [S, B * H / 2, 2, W / 2, 2, K]
    return x.permute(0, 1, 3, 4, 2, 5).flatten(1, 2).flatten(2, 3)  # width before height
