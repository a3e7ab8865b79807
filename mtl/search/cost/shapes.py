"""Shapes of a network's parameters at many widths at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from torch import nn

from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup

Count = int | np.ndarray  # one number, or one a width: [N]


class Shapes:
    """Lengths of the axes of parameters at ``N`` widths.

    Args:
        full: shapes at full width by name.
        table: what slims.
        encoder: ratios ``[N, stages]``.
        decoder: ratios ``{task: [N]}`` of the tasks that count.
    """

    def __init__(
        self,
        full: Mapping[str, tuple[int, ...]],
        table: WidthTable,
        encoder: np.ndarray,
        decoder: Mapping[str, np.ndarray],
    ) -> None:
        self.full, self.table, self.encoder, self.decoder = full, table, encoder, decoder
        self._numbers: dict[WidthGroup, np.ndarray] = {}

    def length(self, name: str, dim: int) -> Count:
        """Length of axis ``dim`` of the parameter ``name``; an array ``[N]`` where it slims."""
        units = self.table.tensors.get(name, {}).get(dim)
        return self.full[name][dim] if units is None else self.along(units)

    def along(self, units: Units) -> np.ndarray:
        """Length ``[N]`` of an axis of these units."""
        key = alike(units.group)
        if key not in self._numbers:
            ratios, where = np.unique(self._ratios(units.group), return_inverse=True)
            self._numbers[key] = np.array([units.group.length_at(float(ratio)) for ratio in ratios])[where]
        return units.blocks * units.unit * self._numbers[key]

    def _ratios(self, group: WidthGroup) -> np.ndarray:
        if isinstance(group.owner, int):
            return self.encoder[:, group.owner]
        if isinstance(group.owner, str):
            return self.decoder[group.owner]
        return np.max([self.decoder[task] for task in group.owner if task in self.decoder], axis=0)


class Parameters:
    """Number of parameters at many widths.

    Args:
        full: shapes at full width of all that count, by name.
        table: what slims.
    """

    def __init__(self, full: Mapping[str, tuple[int, ...]], table: WidthTable) -> None:
        self.fixed: dict[tuple, int] = {}  # entries at unit length of those whose axes slim alike, added up
        self.units: dict[tuple, list[Units]] = {}
        for name, shape in full.items():
            axes = table.tensors.get(name, {})
            key = tuple((alike(units.group), units.blocks * units.unit) for _, units in sorted(axes.items()))
            rest = math.prod(length for dim, length in enumerate(shape) if dim not in axes)
            self.fixed[key] = self.fixed.get(key, 0) + rest
            self.units[key] = list(axes.values())

    def number(self, shapes: Shapes) -> Count:
        """``[N]`` at the widths of ``shapes``."""
        return sum(rest * math.prod(map(shapes.along, self.units[key])) for key, rest in self.fixed.items())


def alike(group: WidthGroup) -> WidthGroup:
    """The group without its name: those that differ in nothing else have equal lengths."""
    return replace(group, name='')


def names_of_tasks(model: nn.Module, tasks: Iterable[str]) -> list[str]:
    """Names of the parameters of a model of ``tasks`` alone: without those that are kept by name for other tasks."""
    others = set(model.tasks) - set(tasks)
    left_out = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, (nn.ModuleDict, nn.ParameterDict))
        for key in others & set(module.keys())
        for parameter in ([module[key]] if isinstance(module[key], nn.Parameter) else module[key].parameters())
    }
    return [name for name, parameter in model.named_parameters() if id(parameter) not in left_out]
