"""Cost of a whole network at any width."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import nn

from mtl.errors import ExplainedError
from mtl.models.adapters.folding import fold_adapters
from mtl.models.backbones.swin.backbone import SwinBackbone
from mtl.models.decoders import HRNetDecoder, TaskExpertDecoder
from mtl.models.slimmable.width import WidthConfig
from mtl.search.cost.hrnet import HRNetCost
from mtl.search.cost.shapes import Parameters, Shapes, names_of_tasks
from mtl.search.cost.swin import SwinCost
from mtl.search.cost.task_expert import TaskExpertCost
from mtl.tasks import select_tasks

BACKBONES = {SwinBackbone: SwinCost}
DECODERS = {HRNetDecoder: HRNetCost, TaskExpertDecoder: TaskExpertCost}


class CostError(ExplainedError, ValueError):
    """A network without a closed form; the message names its part."""


class CostModel:
    """Multiplications and parameters of every width of a slimmable network, without a forward pass.

    They equal, to the last digit, those of the materialised network: its multiplications as counted by
    :func:`mtl.models.accounting.count_macs` (one multiply-accumulate operation is one; twice the number are FLOPs) and
    its number of parameters.

    Args:
        model: a :class:`mtl.models.SlimmableMultiTaskModel`, at full width. It is not changed.
        size: ``(H, W)`` of the image; padded as the model does.
        tasks: tasks of the materialised network; all by default.
        merged: whether its adapters are folded into plain layers where that is exact.

    Raises:
        CostError: the backbone or the decoder has no closed form here.
        ValueError: a task the model does not have.
    """

    def __init__(
        self, model: nn.Module, size: Sequence[int], tasks: Iterable[str] | None = None, merged: bool = False
    ) -> None:
        self.tasks = select_tasks(model.tasks, tasks)
        if merged:
            model = copy.deepcopy(model)
            fold_adapters(model.backbone, self.tasks)
        self.out_channels = {task: model.tasks[task].out_channels for task in self.tasks}
        self.table = model.width_table()
        self.full = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        self._parameters = Parameters({name: self.full[name] for name in names_of_tasks(model, self.tasks)}, self.table)
        divisor = model.backbone.size_divisor
        padded = tuple(side + -side % divisor for side in size)
        decoder = _closed_form(DECODERS, model.decoder)
        self.backbone = _closed_form(BACKBONES, model.backbone)(
            model.backbone, padded, self.tasks, model.decoder.reads_shared
        )
        self.decoder = decoder(model.decoder, self.backbone.levels, self.tasks)
        # experts of the shared stream run at the width of the widest task, whether it runs or not
        all_own = all(set(self.tasks) <= set(level.own) for level in self.backbone.levels)
        self.counting = self.tasks if all_own and not model.decoder.reads_shared else tuple(model.tasks)

    def macs(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Multiplications of one image from pixels to logits.

        Args:
            encoder: ratios ``[N, stages]``.
            decoder: ratios ``{task: [N]}``; of tasks that do not run, too, where the width names them.

        Returns:
            ``[N]`` int64.
        """
        shapes = self._shapes(encoder, decoder)
        height, width = self.decoder.size
        heads = sum(self.decoder.out_channels(task, shapes) * n for task, n in self.out_channels.items())
        total = self.backbone.macs(shapes) + self.decoder.macs(shapes) + height * width * heads
        return np.broadcast_to(total, len(shapes.encoder)).astype(np.int64)

    def parameters(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Parameters, frozen ones included; arguments and result as for :meth:`macs`."""
        shapes = self._shapes(encoder, decoder)
        return np.broadcast_to(self._parameters.number(shapes), len(shapes.encoder)).astype(np.int64)

    def of(self, width: WidthConfig) -> dict[str, int]:
        """``macs`` and ``parameters`` of one width."""
        ratios = np.array([width.encoder]), {task: np.array([ratio]) for task, ratio in width.decoder.items()}
        return {'macs': int(self.macs(*ratios)[0]), 'parameters': int(self.parameters(*ratios)[0])}

    def _shapes(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> Shapes:
        ratios = {task: np.asarray(decoder[task]) for task in self.counting if task in decoder}
        return Shapes(self.full, self.table, np.asarray(encoder), ratios)


def _closed_form(known: Mapping[type, type], part: nn.Module) -> type:
    if type(part) not in known:
        raise CostError(
            f'{type(part).__name__} has no closed form of its cost; those that have one: '
            f'{", ".join(kind.__name__ for kind in known)}.'
        )
    return known[type(part)]
