"""A smaller network with the weights of one width: static, and of no special kind."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mtl.models.slimmable.network import SlimmableNetwork
from mtl.models.slimmable.width import WidthConfig
from mtl.protocols import Network
from mtl.registry import MODELS


def materialize(
    model: SlimmableNetwork, options: Mapping, width: WidthConfig, tasks: Iterable[str] | None = None
) -> tuple[dict, dict[str, Tensor]]:
    """Config and weights of a :class:`mtl.models.MultiTaskModel` that gives the outputs of ``model`` at ``width``.

    Args:
        model: a network that slims.
        options: the config it was built with.
        width: of its space.
        tasks: keep these only; all that the width names by default.
    """
    tasks = tuple(width.decoder) if tasks is None else tuple(tasks)
    alone = model.space.check(width).for_tasks(tasks)
    width = alone if tasks_that_count(model, tasks) == tasks else width
    small, _ = model.for_prediction(copy.deepcopy(dict(options)))
    small.pop('slimming', None)
    small['tasks'] = {name: task for name, task in options['tasks'].items() if name in tasks}
    for name, part in model.slimmable_parts().items():
        small[name] = {**small[name], **part.width_options(width, model.multiple)}
    small['backbone']['pretrained'] = 'checkpoint'
    wanted = MODELS.build(copy.deepcopy(small)).state_dict()
    with torch.no_grad(), model.at_width(width):
        state = {name: value.clone() for name, value in model.state_dict().items() if name in wanted}
    return small, state


@torch.no_grad()
def tasks_that_count(model: Network, tasks: Iterable[str]) -> tuple[str, ...]:
    """Tasks whose widths the outputs of ``tasks`` depend on: these alone, or all.

    All where a decoder reads the shared stream for all tasks at once, at the width of the widest.

    Args:
        model: network.
        tasks: that run.
    """
    tasks = tuple(tasks)
    size = model.backbone.size_divisor
    image = torch.zeros(1, 3, size, size).to(next(model.parameters()))
    levels = model.extract(image, tasks).levels
    own = not model.decoder.reads_shared and all(level.has_own((task,)) for level in levels for task in tasks)
    return tasks if own else tuple(model.tasks)
