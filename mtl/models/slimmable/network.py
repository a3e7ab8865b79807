"""A network that runs at any width of its space, which holds one width by default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mtl.models.containers import ModuleDict
from mtl.models.slimmable.axes import WidthTable, at_width
from mtl.models.slimmable.sorting import permute_units, sort_by_importance
from mtl.models.slimmable.statistics import declare_statistics
from mtl.models.slimmable.width import WidthConfig, WidthError, WidthSpace
from mtl.protocols import Network, Slimmable, SortedUnits

Ratios = Sequence[float] | float


class SlimmableNetwork(Network, SortedUnits):
    """The widths of a network with a backbone, a decoder and 1x1 convolutions as ``heads``: a mixin of models.

    Controllable widths are those of ECMT (Aich et al., ICCV 2023, arXiv 2308.11744). The paper states: encoder and
    decoders of slimmable width, each on its own. What slims (:mod:`mtl.models.slimmable.axes`) and that units are
    sorted by importance is our reading.

    Units are sorted when the network is built and once more, by what it has learnt since, when the training of several
    widths begins (:meth:`sort_units`).

    Attributes:
        space: the widths it is trained for; the full one alone until :meth:`slim`.
        width: at which it runs now; ``None`` for all its parameters.
        multiple: numbers of units are rounded to multiples of it.
        sort: whether its units are sorted.
        steps: of training so far. ``None``, and not in the state dict, in a network of one width.
        unit_order: where each unit was when the network was built, group by group; ``None`` like ``steps``.
    """

    width: WidthConfig | None = None
    multiple: int = 8
    sort: bool = False
    heads: ModuleDict[nn.Conv2d]
    steps: Tensor | None
    unit_order: Tensor | None

    def declare_widths(self) -> None:
        """Begin with the full width alone. To be called when the parts are there."""
        self.space = WidthSpace(len(self.backbone.channels), tuple(self.heads), (1.0,), (1.0,))
        self.register_buffer('steps', None)
        self.register_buffer('unit_order', None)
        self.register_load_state_dict_pre_hook(_fit_to_widths)

    def slim(
        self, encoder: Ratios | None = None, decoder: Ratios | None = None, multiple: int = 8, sort: bool = True
    ) -> None:
        """Allow further widths, and sort the units.

        Args:
            encoder, decoder: allowed ratios, see :class:`WidthSpace`; its defaults. Of a part in which nothing slims
                only ``(1.0,)``.
            multiple: MLP units and decoder channels are rounded to multiples of it.
            sort: ``False`` keeps the order of the units, for starting weights that were trained at all widths already.

        Raises:
            WidthError: a part does not slim, or has a norm that cannot run at these widths.
        """
        if not multiple >= 1:
            raise WidthError(f'slimming.multiple is at least 1; found {multiple}.')
        ratios = (('encoder', encoder), ('decoder', decoder))
        given: dict[str, Any] = {name: value for name, value in ratios if value is not None}
        space = WidthSpace(self.space.stages, self.space.tasks, **given)
        smallest = dict(encoder=min(space.small.encoder), decoder=min(space.small.decoder.values()))
        for name, part, of_part in self._parts():
            fault = _why_whole(part, multiple)
            if fault is not None and smallest[of_part] < 1:
                raise WidthError(
                    f'slimming.{of_part} allows {smallest[of_part]:g} of the {name}, but {type(part).__name__} '
                    f'{fault}. Write slimming.{of_part}=(1.0,), and the {name} stays whole; or take another '
                    f'model.{name}.'
                )
        self.multiple, self.sort, self.space = multiple, sort, space
        self.steps = torch.tensor(0)
        table = self._table()
        if sort:
            sort_by_importance(self, table)
        self.unit_order = _places(table)
        modules = dict(self.named_modules())
        for name, group in table.norms.items():
            of_part = 'encoder' if isinstance(group.owner, int) else 'decoder'
            allowed = getattr(space, of_part)
            if isinstance(allowed, float):
                raise WidthError(
                    f'{name} is a BatchNorm, which needs running statistics for every width: list the {of_part} ratios '
                    f'instead of allowing any from {allowed:g} on, or use a norm without running statistics.'
                )
            declare_statistics(modules[name], map(group.length_at, allowed))

    def _parts(self) -> tuple[tuple[str, nn.Module, str], ...]:
        """Backbone and decoder: their names, and what their ratios are called."""
        return ('backbone', self.backbone, 'encoder'), ('decoder', self.decoder, 'decoder')

    def width_table(self) -> WidthTable:
        """What slims, by names of the state dict; nothing in a network of one width. Not inside :meth:`at_width`."""
        return WidthTable() if self.unit_order is None else self._table()

    def slimmable_parts(self) -> dict[str, Slimmable]:
        """Of backbone and decoder those that say what slims in them."""
        return {name: part for name, part, _ in self._parts() if isinstance(part, Slimmable)}

    def _table(self) -> WidthTable:
        table = WidthTable()
        for name, part in self.slimmable_parts().items():
            table.add(name, part.width_table(self.multiple))
        for task, channels in table.outputs.items():
            table.add_linear(f'heads.{task}', self.heads[task], into=channels)
        return table

    @contextmanager
    def at_width(self, width: str | Mapping | WidthConfig) -> Iterator[WidthConfig]:
        """Run at ``width`` inside the ``with``, see :func:`mtl.models.slimmable.axes.at_width`.

        Args:
            width: a width, ``'full'``, ``'small'``, a JSON file, or the config form.

        A width that names some of the tasks only lets no others run.

        Raises:
            WidthError: the width is not of the network's space, or another one runs already.
        """
        if self.width is not None:
            raise WidthError(f'The network runs at a width already: {self.width}.')
        width = self.space.named(width)
        with at_width(self, self.width_table(), width):
            self.width = width
            try:
                yield width
            finally:
                self.width = None

    # ---- order of the units -----------------------------------------------------------------------------------------

    def sort_units(self, optimizer: Optimizer | None = None) -> None:
        """Sort the units by importance, see :func:`mtl.models.slimmable.sorting.sort_by_importance`.

        What ``optimizer`` keeps moves as well. Who keeps a copy of the network finds in :attr:`unit_order` where the
        units are now, and moves those of the copy by :meth:`move_units`.
        """
        assert self.unit_order is not None, 'a network of one width keeps its units where they are'
        moves = sort_by_importance(self, self.width_table(), optimizer)
        before = self.unit_order.split([group.size for group in moves])
        self.unit_order = torch.cat(
            [self.unit_order[:0], *(places[move] for places, move in zip(before, moves.values(), strict=True))]
        )

    def move_units(self, state: Mapping[str, Tensor]) -> None:
        """Move the units to the order that ``state`` was saved in.

        The first sandwich of a run sorts the units of the frozen base, too. A checkpoint without the base says in
        ``unit_order`` how they were sorted.
        """
        wanted = state.get('unit_order')
        if wanted is None or self.unit_order is None or torch.equal(wanted.to(self.unit_order.device), self.unit_order):
            return
        wanted = wanted.to(self.unit_order.device)
        table = self.width_table()
        split = [group.size for group in table.importance]
        moves = [
            now.argsort()[then] for now, then in zip(self.unit_order.split(split), wanted.split(split), strict=True)
        ]
        permute_units(self, table, dict(zip(table.importance, moves, strict=True)))
        self.unit_order.copy_(wanted)


def _why_whole(part: nn.Module, multiple: int) -> str | None:
    """Why a part has one width only, as a clause; ``None`` where it slims."""
    if not isinstance(part, Slimmable):
        return 'does not say what slims in it: it is not a mtl.protocols.Slimmable'
    return None if part.width_table(multiple).tensors else 'has no units that slim here'


def _fit_to_widths(network: SlimmableNetwork, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    """Take state dicts of networks with several widths or one, and those that say nothing of steps and places.

    Units are where building put them, unless a state dict says otherwise.
    """
    if network.steps is None:
        for name in ('steps', 'unit_order'):
            state.pop(f'{prefix}{name}', None)
    else:
        state.setdefault(f'{prefix}steps', network.steps)
        state.setdefault(f'{prefix}unit_order', _places(network.width_table()))


def _places(table: WidthTable) -> Tensor:
    return torch.cat([torch.arange(0), *(torch.arange(group.size) for group in table.importance)])
