"""What it costs to project a level of the pyramid, as decoders do first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from mtl.ops.patch_merging import fewer_multiplications
from mtl.search.cost.linear import linear_macs, norm_and_project_macs
from mtl.search.cost.shapes import Count


@dataclass(frozen=True)
class LevelCost:
    """A level of the pyramid.

    Args:
        size: ``(H, W)``.
        channels: of the level.
        own: tasks with a stream of their own.
        merging: patch merging that their streams have yet to pass, see :class:`mtl.models.backbones.MergingLevel`.
        rank: in which their streams differ, see :class:`mtl.ops.low_rank_streams.LowRankStreams`.
    """

    size: tuple[int, int]
    channels: int
    own: tuple[str, ...] = ()
    merging: nn.Module | None = None
    rank: int = 0

    def projected_macs(self, calls: Sequence[tuple[Sequence[str], Count, bool | np.ndarray]]) -> Count:
        """Multiplications of all calls of the neck that a decoder makes.

        Args:
            calls: of each its tasks, its number of channels, and whether (or at which widths) it is made at all.
        """
        rows = self.size[0] * self.size[1]
        total: Count = 0
        reads_merged: Count = False
        for tasks, n_out, made in calls:
            as_merged = len(tasks) * rows * self.channels * n_out
            if self.merging is None or not set(tasks) & set(self.own):
                total = total + made * as_merged
                continue
            patch = self.merging.reduction.in_features
            composed = len(tasks) * n_out * patch * self.channels
            composed = composed + norm_and_project_macs(len(tasks), rows, 4, patch // 4, self.rank, n_out)
            composes = set(tasks) <= set(self.own) and fewer_multiplications(rows, patch, self.channels, n_out)
            total = total + made * np.where(composes, composed, as_merged)
            reads_merged = reads_merged | (made & ~np.asarray(composes))
        if self.merging is None:
            return total
        reduction = self.merging.reduction
        merging = linear_macs(reduction, len(self.own) * rows, reduction.in_features, self.channels)
        merging = merging + len(self.own) * rows * self.rank * reduction.in_features  # the streams themselves
        return total + reads_merged * merging + self._matrix_macs()

    def _matrix_macs(self) -> int:
        """Of the merging's matrix with its adapter, which is composed once."""
        reduction = self.merging.reduction
        shared = getattr(reduction, 'shared', None)
        return 0 if shared is None else shared.rank * reduction.in_features * self.channels
