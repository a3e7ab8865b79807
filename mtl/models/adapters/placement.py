"""Which layers of a backbone get which adapters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from mtl.protocols import AdaptableLayer, Backbone, ContractError, SlimLayer, check_contract
from mtl.registry import MODELS

STREAM_TARGETS = ('proj', 'fc1', 'fc2')  # roles of the layers that the streams of tasks pass


class Placement(ABC):
    """The ``adapters`` option of a backbone. :func:`inject` walks the layers of the backbone with it.

    Attributes:
        targets: roles of the layers to adapt.
        wants_streams: whether tasks get parameters of their own, so that their streams must begin somewhere.
    """

    targets: tuple[str, ...]
    wants_streams: bool = False

    @abstractmethod
    def adapt(
        self, layer: nn.Module, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Module:
        """The adapted ``layer``, or the layer itself where ``target`` is not among the targets.

        Args:
            layer: base layer, an ``nn.Linear`` or ``nn.Conv2d``.
            target: its role.
            stage: index of its stage.
            tasks: tasks that get an update of their own here.
            last: whether it is in the last block of its stage.
        """

    def remaining(self, options: Mapping, stages: Collection[int], count: int) -> dict:
        """The option that builds a backbone in which adapters are folded in all but some stages.

        Args:
            options: those that built this placement.
            stages: indices of the stages whose adapters could not be folded.
            count: number of stages.
        """
        return dict(options)


def build_placement(adapters: Mapping | Placement) -> Placement:
    """The placement of the ``adapters`` option of a backbone, of type ``MTLoRA`` unless it says another one."""
    return MODELS.build({'type': 'MTLoRA', **adapters}) if isinstance(adapters, Mapping) else adapters


def inject(backbone: Backbone, adapters: Mapping | Placement | None, tasks: Iterable[str]) -> None:
    """Put adapters into the layers of ``backbone``, in place.

    Args:
        backbone: its :meth:`mtl.protocols.Backbone.adaptable_layers` are walked.
        adapters: which layers get which; ``None`` for none.
        tasks: names of the tasks.

    Raises:
        ValueError: no layer has a role that is asked for, or no layer lets the streams of tasks begin.
        ContractError: it is not a :class:`Placement`, or it gave a layer that is not one with adapters.
    """
    if adapters is None:
        return
    placement, places, kind = build_placement(adapters), list(backbone.adaptable_layers()), type(backbone).__name__
    check_contract(placement, Placement)
    roles = list(dict.fromkeys(place.role for place in places))
    if not set(placement.targets) & set(roles):
        found = f'has layers of the roles {", ".join(roles)}' if roles else 'names none (`adaptable_layers`)'
        raise ValueError(
            f'The adapters are for {", ".join(placement.targets)}, but {kind} {found}. Set '
            'model.backbone.adapters.targets to some of them.'
        )
    if placement.wants_streams and not any(place.starts_streams for place in places):
        raise ValueError(
            f'The adapters have updates of single tasks, but in this {kind} the streams of tasks can begin nowhere: '
            'its blocks are not transformer blocks that are known. Set model.backbone.adapters.task_rank=0 for updates '
            'that all tasks share.'
        )
    for place in places:
        replace(place, placement, tasks)


def replace(place: AdaptableLayer, placement: Placement, tasks: Iterable[str]) -> None:
    """Put what ``placement`` makes of one layer in its place."""
    layer = place.layer
    adapted = placement.adapt(layer, place.role, place.stage, tasks if place.starts_streams else (), place.last)
    if adapted is layer:
        return
    if not isinstance(adapted, SlimLayer):
        raise ContractError(
            f'{type(placement).__name__} put a {type(adapted).__name__} in the place of a {place.role} layer, which '
            'does not say what belongs to the adapter (`adapter_parameters`). Derive it from '
            'mtl.protocols.AdapterLayer.'
        )
    check_contract(adapted, SlimLayer)
    place.replace(adapted)


def of_stage(value: Any, stage: int) -> Any:
    """``value`` itself, or its entry for ``stage`` if it is a list of one value per stage."""
    if isinstance(value, Sequence):
        if stage >= len(value):
            raise ValueError(f'An adapter option lists {len(value)} values, but the backbone has a stage {stage}.')
        return value[stage]
    return value
