"""Networks whose adapters are folded into plain linear layers, for deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmengine.config import Config
from torch import Tensor, nn

from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.models.adapters.placement import STREAM_TARGETS, Placement, build_placement
from mtl.models.adapters.task_linear import TaskLinear
from mtl.protocols import AdapterLayer, Backbone, Network, adapter_layers
from mtl.registry import MODELS


@MODELS.register_module()
class TaskWeights(Placement):
    """Placement of :class:`TaskLinear`: last block of each stage.

    Args:
        streams: names of the tasks with weights of their own, one list a stage.
        targets: layers, among ``proj fc1 fc2``.
    """

    def __init__(self, streams: Sequence[Sequence[str]], targets: Iterable[str] = STREAM_TARGETS) -> None:
        self.streams, self.targets = streams, tuple(targets)
        self.wants_streams = any(streams)

    def adapt(
        self, layer: nn.Module, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Module:
        """See :meth:`Placement.adapt`."""
        own = [task for task in tasks if task in self.streams[stage]]
        if not own or not last or target not in self.targets:
            return layer
        assert isinstance(layer, nn.Linear)  # where streams begin
        return TaskLinear(layer, own)


def fold_adapters(backbone: nn.Module, tasks: Iterable[str]) -> dict[str, str]:
    """Replace every adapter layer below ``backbone`` by plain layers where that is exact for ``tasks``, in place.

    Returns:
        Names of the layers that had to stay, with the reason.
    """
    kept = {}
    for name, layer in list(adapter_layers(backbone)):
        own = [task for task in tasks if task in layer.tasks]
        reasons = filter(None, map(layer.why_unmergeable, (None, *own)))
        reason = next(reasons, None)
        if reason is None:
            backbone.set_submodule(name, layer.folded(own))
        else:
            kept[name] = reason
    return kept


def folding_report(kept: Mapping[str, str]) -> str:
    """Which layers :func:`fold_adapters` kept, and why."""
    if not kept:
        return 'All adapters are folded into plain layers.'
    lines = []
    for reason in dict.fromkeys(kept.values()):
        lines += [f'Not folded: {reason}', *(f'  {name}' for name, why in kept.items() if why == reason)]
    return '\n'.join(lines)


def folded_options(backbone: Backbone, adapters: Mapping) -> dict | None:
    """The ``adapters`` option that builds what :func:`fold_adapters` left of ``backbone``.

    Args:
        backbone: the folded backbone.
        adapters: the option it was built with.
    """
    places = list(backbone.adaptable_layers())
    remaining = {place.stage for place in places if isinstance(place.layer, AdapterLayer)}
    if remaining:
        return build_placement(adapters).remaining(adapters, remaining, len(backbone.channels))
    branches = [(place, layer) for place in places if isinstance(layer := place.layer, TaskLinear)]
    if not branches:
        return None
    streams = [
        next((list(layer.tasks) for place, layer in branches if place.stage == stage), [])
        for stage in range(len(backbone.channels))
    ]
    targets = [target for target in STREAM_TARGETS if any(place.role == target for place, _ in branches)]
    return dict(type='TaskWeights', streams=streams, targets=targets)


def fold_model(model: Network, config: Config, tasks: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Fold the adapters of ``model`` and make ``config`` that of the result, both in place.

    Args:
        model: built with ``config``.
        config: of a run.
        tasks: for which folding must be exact.

    Returns:
        The weights that fit ``config`` now, and names of the layers that had to stay, with the reason.
    """
    kept = fold_adapters(model.backbone, tasks)
    backbone = config.model.backbone
    backbone.adapters = folded_options(model.backbone, backbone.get('adapters'))
    wanted = build_for_checkpoint(config).state_dict()
    return {key: value for key, value in model.state_dict().items() if key in wanted}, kept
