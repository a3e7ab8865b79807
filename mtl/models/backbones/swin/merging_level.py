"""A level of the pyramid whose task streams have not passed their patch merging yet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from timm.models.swin_transformer import PatchMerging
from torch import Tensor

from mtl.ops.low_rank_streams import LowRankStreams
from mtl.structures import SHARED, BaseLevel


@dataclass(frozen=True)
class MergingLevel(BaseLevel):
    """A level after patch merging, done for the task streams when their features are asked for.

    Task streams go nowhere but into the neck, which may have a shorter way (:func:`mtl.models.neck.project`).

    Args:
        shared: merged shared stream ``[B, 2 C, H / 2, W / 2]``.
        own: streams of the tasks before merging, ``[., B, H, W, C]``.
        tasks: names of the ``T`` tasks.
        merging: timm's ``PatchMerging``: a ``norm`` of patches, then a ``reduction``, a
            :class:`mtl.models.dense.Linear`.
    """

    shared: Tensor
    own: LowRankStreams
    tasks: tuple[str, ...]
    merging: PatchMerging

    @property
    def streams(self) -> tuple[str, ...]:  # type: ignore[override]  # levels are only read
        """See :class:`mtl.structures.Level`."""
        return SHARED, *self.tasks

    @cached_property
    def features(self) -> Tensor:  # type: ignore[override]  # levels are only read
        """``[1 + T, B, 2 C, H / 2, W / 2]``."""
        merged = self.merging(self._dense.flatten(0, 1)).unflatten(0, self._dense.shape[:2])
        return torch.cat([self.shared[None], merged.permute(0, 1, 4, 2, 3)])

    @property
    def size(self) -> tuple[int, int]:
        """See :class:`mtl.structures.Level`."""
        height, width = self.shared.shape[-2:]
        return height, width

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """See :class:`mtl.structures.Level`; the shared stream alone needs no merging of the others."""
        return super().stacked(tasks) if self.has_own(tasks) else self.shared.expand(len(tasks), -1, -1, -1, -1)

    def streams_apart(self) -> tuple[Tensor, ...]:
        """The shared stream after merging, the tasks' before."""
        return self.shared[None], self._dense

    @cached_property
    def _dense(self) -> Tensor:
        return self.own.dense()
