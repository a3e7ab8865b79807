"""Closed form of the TaskExpert decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mtl.models.decoders.task_expert import TaskExpertDecoder
from mtl.search.cost.levels import LevelCost
from mtl.search.cost.shapes import Count, Shapes
from mtl.structures import SHARED


class TaskExpertCost:
    """Multiplications of a :class:`TaskExpertDecoder` for one image.

    Args:
        decoder: at full width.
        levels: of the pyramid.
        tasks: those that run.

    Attributes:
        size: ``(H, W)`` of the maps.
    """

    def __init__(self, decoder: TaskExpertDecoder, levels: Sequence[LevelCost], tasks: tuple[str, ...]) -> None:
        self.decoder, self.levels, self.tasks = decoder, levels, tasks
        self.size = decoder.size(levels[0].size)
        self.rows = self.size[0] * self.size[1]
        self.experts = len(decoder.experts[0])

    def out_channels(self, task: str, shapes: Shapes) -> Count:
        """Channels of the map of ``task``."""
        return shapes.along(shapes.table.outputs[task])

    def macs(self, shapes: Shapes) -> Count:
        """Multiplications up to the maps, projections of the levels included."""
        widths = {task: self.out_channels(task, shapes) for task in self.tasks}
        first = self._first_of_group(widths)
        return sum(self._level(index, shapes, widths, first) for index in range(len(self.levels)))

    def _level(self, index: int, shapes: Shapes, widths: dict[str, np.ndarray], first: dict[str, np.ndarray]) -> Count:
        decoder, level, experts = self.decoder, self.levels[index], self.experts
        memory = decoder.memory is not None
        reads_shared = {task: decoder.reads_shared or task not in level.own for task in self.tasks}
        # tasks without a stream here take the shared one, projected once for all of equal width
        calls = [((task,), k, True) if task in level.own else ((SHARED,), k, first[task]) for task, k in widths.items()]
        total: Count = 0
        if any(reads_shared.values()):
            k = np.max([self.out_channels(task, shapes) for task in shapes.decoder], axis=0)  # also of tasks not run
            calls.append(((SHARED,), k, True))
            total = self._active(k) + self.rows * experts * self._hidden(k) * k
        for task, k in widths.items():
            if memory and index == 0:
                total = total + self.rows * k * k * (True if task in level.own else first[task])
            total = total + self._gates(k, memory)
            if reads_shared[task]:
                total = total + self.rows * experts * k
            else:
                total = total + self._active(k) + self.rows * experts * k * (1 + self._hidden(k))
            total = total + 3 * memory * self.rows * k * k  # read, and write from two sources
        return total + level.projected_macs(calls)

    def _active(self, k: Count) -> Count:
        """Of the hidden units of all experts: a pointwise and a depthwise convolution."""
        return self.rows * self.experts * self._hidden(k) * (k + 9)

    def _gates(self, k: Count, memory: bool) -> Count:
        rows = {'pixel': self.rows, 'image': 1, 'static': 0}[self.decoder.gate_kind]
        return rows * (1 + memory) * k * (self.experts + memory)

    def _hidden(self, k: Count) -> Count:
        values, where = np.unique(k, return_inverse=True)
        return np.array([self.decoder.hidden(int(value)) for value in values])[where]

    def _first_of_group(self, widths: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Of each task, at which widths it is the first of those that run stacked: of one width and equal streams."""
        first, seen = {}, {}
        for task, k in widths.items():
            before = seen.setdefault(tuple(task in level.own for level in self.levels), [])
            first[task] = ~np.any([k == other for other in before], axis=0) if before else np.full(k.shape, True)
            before.append(k)
        return first
