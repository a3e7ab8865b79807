"""Closed form of the HRNet decoder."""

from __future__ import annotations

from collections.abc import Sequence

from mtl.models.decoders.hrnet import HRNetDecoder
from mtl.ops.fuse_levels import upsampled_first
from mtl.search.cost.levels import LevelCost
from mtl.search.cost.shapes import Count, Shapes


class HRNetCost:
    """Multiplications of a :class:`HRNetDecoder` for one image.

    Args:
        decoder: at full width.
        levels: of the pyramid.
        tasks: those that run.

    Attributes:
        size: ``(H, W)`` of the maps.
    """

    def __init__(self, decoder: HRNetDecoder, levels: Sequence[LevelCost], tasks: tuple[str, ...]) -> None:
        self.decoder, self.levels, self.tasks = decoder, levels, tasks
        first = decoder.decoders[tasks[0]]
        self.size = levels[0].size
        self.level_channels = [projection.out_channels for projection in first.projections]

    def macs(self, shapes: Shapes) -> Count:
        """Multiplications up to the maps, projections of the levels included."""
        projections = sum(
            level.projected_macs([(self.tasks, channels, True)])
            for level, channels in zip(self.levels, self.level_channels, strict=True)
        )
        return projections + sum(self._fuse_macs(self.out_channels(task, shapes)) for task in self.tasks)

    def out_channels(self, task: str, shapes: Shapes) -> Count:
        """Channels of the map of ``task``."""
        return shapes.along(shapes.table.outputs[task])

    def _fuse_macs(self, out: Count) -> Count:
        """Of the 1x1 convolution over all levels: at the finest resolution, or before a level is upsampled to it."""
        by_size: dict[tuple[int, int], int] = {}
        for level, channels in zip(self.levels, self.level_channels, strict=True):
            by_size[level.size] = by_size.get(level.size, 0) + channels
        finest = self.levels[0].size
        total = 0
        for size, channels in by_size.items():
            height, width = finest if size == finest or upsampled_first(channels) else size
            total += height * width * channels
        return total * out
