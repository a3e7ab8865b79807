"""What any width of a network costs, from counts of the network itself.

A few counts (:mod:`mtl.search.counting`) give the cost of every width, because most parts of a network do not depend on
one another: what a stage costs follows from the ratio of that stage alone. The network's
:class:`mtl.models.slimmable.axes.WidthTable` tells which ratios act together.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from mtl.models import MultiTaskModel
from mtl.models.slimmable.axes import WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig
from mtl.progress import report_progress
from mtl.search.counting import CountedNetwork
from mtl.search.latency import LatencyTable

SILENT = 20  # more counts than these take seconds, and are reported

Owner = int | str  # of a ratio: a stage, or a task
Factors = dict[frozenset[Owner], int]


class CostTable:
    """Multiply-accumulate operations, parameters and milliseconds of every width of a network.

    The first two equal those of the materialised network exactly: its operations as counted by
    :func:`mtl.models.accounting.count_macs` (one multiply-accumulate is two FLOPs), and its number of parameters.

    Let ``F(x)`` be the cost of a width ``x``, and ``F(x on A)`` the cost where the ratios ``A`` are those of ``x`` and
    all others are 1. Then

        F(x) = sum_A c_A F(x on A)

    over the sets ``A`` of ratios that act together, and their intersections. Inclusion and exclusion give the whole
    numbers ``c_A``. So four ratios of each of four stages take 13 counts instead of 256. Each ``F(x on A)`` is counted
    when it is first needed, and kept. Tasks that a decoder runs together are one set.

    Args:
        model: a slimmable network at full width. It is not changed.
        size: ``(H, W)`` of the image; padded as the model does.
        tasks: tasks of the materialised network; all by default.
        merged: whether its adapters are folded into plain layers where that is exact.
        latency: measured on a device, for :meth:`milliseconds`.

    Raises:
        ValueError: a task the model does not have.
        CostError: the network does not run on the meta device.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        size: Sequence[int],
        tasks: Iterable[str] | None = None,
        merged: bool = False,
        latency: LatencyTable | None = None,
    ) -> None:
        self.network = CountedNetwork(model, size, tasks, merged)
        self.space, self.latency = model.space, latency
        self._groups = _groups_by_owner(self.network.table)
        self._first: dict[tuple, float] = {}  # ratio that gave an owner's groups their lengths, by owner and lengths
        self._factors: dict[tuple[str, ...], Factors] = {}  # by the tasks that a width names

    def macs(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Multiply-accumulate operations of one image, from pixels to logits.

        Args:
            encoder: ratios ``[N, stages]``.
            decoder: ratios ``{task: [N]}``; of tasks that do not run, too, where the width names them.

        Returns:
            ``[N]`` int64.
        """
        return self._of_ratios(encoder, decoder)[:, 0]

    def parameters(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Parameters, frozen ones included; arguments and result as for :meth:`macs`."""
        return self._of_ratios(encoder, decoder)[:, 1]

    def milliseconds(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Milliseconds of one image, ``[N]``; arguments as for :meth:`macs`.

        Raises:
            ValueError: no device was measured.
            LatencyError: another network was measured.
        """
        if self.latency is None:
            raise ValueError('A budget in ms needs a latency table of the device.')
        return self.latency(encoder, decoder)

    def of(self, width: WidthConfig) -> dict[str, int]:
        """``macs`` and ``parameters`` of one width, which is counted by itself."""
        macs, parameters = self.network(width.for_tasks(self._named(width.decoder)))
        return {'macs': macs, 'parameters': parameters}

    # ---- adding up ------------------------------------------------------------------------------------------------

    def _of_ratios(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Operations and parameters, ``[N, 2]`` int64."""
        tasks = self._named(decoder)
        if tasks not in self._factors:
            self._factors[tasks] = self._factors_of(tasks)
        ratios = dict(enumerate(np.asarray(encoder).T)) | {task: np.asarray(decoder[task]) for task in tasks}
        return self._add_up(self._factors[tasks], ratios)

    def _named(self, tasks: Container[str]) -> tuple[str, ...]:
        """Those of ``tasks`` whose ratios the cost depends on, and all that run."""
        return tuple(task for task in self.network.relevant if task in tasks or task in self.network.tasks)

    def _add_up(self, factors: Factors, ratios: Mapping[Owner, np.ndarray]) -> np.ndarray:
        """``sum_A c_A F(x on A)`` for ``N`` widths ``x``."""
        x = np.stack([self._alike(owner, values) for owner, values in ratios.items()], axis=1)
        terms = []  # the different `x on A`, which of them belongs to each `x`, and the factor
        for owners, factor in factors.items():
            on = np.where([owner in owners for owner in ratios], x, 1.0)
            rows, which = np.unique(on, axis=0, return_inverse=True)
            terms.append(
                ([_width(dict(zip(ratios, row, strict=True))) for row in rows.tolist()], which.ravel(), factor)
            )
        self._count(width for widths, _, _ in terms for width in widths)
        return np.sum([factor * self._counts(widths)[which] for widths, which, factor in terms], axis=0)

    def _alike(self, owner: Owner, ratios: np.ndarray) -> np.ndarray:
        """``[N]``: for each ratio, one that gives the same lengths; equal for all that do."""
        distinct, which = np.unique(ratios, return_inverse=True)
        groups = self._groups.get(owner, ())
        lengths = [(owner, *(group.length_at(ratio) for group in groups)) for ratio in distinct.tolist()]
        return np.array([self._first.setdefault(*pair) for pair in zip(lengths, distinct, strict=True)])[which]

    def _factors_of(self, tasks: tuple[str, ...]) -> Factors:
        """The factors ``c_A`` that give what counting gives at some widths.

        A network may do more than its width table tells: its tasks may attend to one another. Then all its tasks act
        together; where that is not enough, everything does, and each width is counted by itself.
        """
        owners = frozenset((*range(self.space.stages), *tasks))
        tensors = self.network.table.tensors.values()
        sets = {owners & _owners(units.group for units in axes.values()) for axes in tensors}
        sets |= {frozenset([owner]) for owner in owners}
        widths = [width.for_tasks(tasks) for width in (self.space.small, self.space.sample(random.Random(0)))]
        expected = self._counts(widths)
        ratios = {
            owner: np.array([width.ratio(owner) for width in widths]) for owner in (*range(self.space.stages), *tasks)
        }
        for together in (sets, sets | {frozenset(tasks)}):
            factors = inclusion_exclusion(together)
            if np.array_equal(self._add_up(factors, ratios), expected):
                return factors
        return {owners: 1}

    # ---- counting -------------------------------------------------------------------------------------------------

    def _count(self, widths: Iterable[WidthConfig]) -> None:
        """Count those that were not counted before."""
        new = list(dict.fromkeys(width for width in widths if width not in self.network.counts))
        for width in report_progress(new, len(new), 'Counting widths') if len(new) > SILENT else new:
            self.network(width)

    def _counts(self, widths: Iterable[WidthConfig]) -> np.ndarray:
        """Operations and parameters of each, ``[N, 2]``."""
        return np.array([self.network(width) for width in widths])


def inclusion_exclusion(sets: Iterable[frozenset[Owner]]) -> Factors:
    """The factors ``c_A`` of :class:`CostTable`, of ``sets`` and their intersections; those that are 0 are left out.

    Every term of ``F`` depends on ratios within one of the sets, and must be counted once: the factors of all ``A``
    that hold these ratios add up to 1.
    """
    family: set[frozenset[Owner]] = {frozenset()}
    for some in sets:
        family |= {some & other for other in family} | {some}
    factors: Factors = {}
    for some in sorted(family, key=len, reverse=True):
        factors[some] = 1 - sum(factor for other, factor in factors.items() if some < other)
    return {some: factor for some, factor in factors.items() if factor}


def _owners(groups: Iterable[WidthGroup]) -> frozenset[Owner]:
    owners = (group.owner if isinstance(group.owner, tuple) else (group.owner,) for group in groups)
    return frozenset(itertools.chain.from_iterable(owners))


def _groups_by_owner(table: WidthTable) -> dict[Owner, set[WidthGroup]]:
    """The groups whose lengths a ratio decides; one of those that differ in nothing but their name."""
    units = [units for axes in table.tensors.values() for units in axes.values()] + [*table.outputs.values()]
    groups: dict[Owner, set[WidthGroup]] = {}
    for group in {*(each.group for each in units), *table.norms.values()}:
        for owner in _owners([group]):
            groups.setdefault(owner, set()).add(replace(group, name=''))
    return groups


def _width(ratios: Mapping[Owner, float]) -> WidthConfig:
    stages = tuple(ratio for owner, ratio in ratios.items() if isinstance(owner, int))
    return WidthConfig(stages, {owner: ratio for owner, ratio in ratios.items() if isinstance(owner, str)})
