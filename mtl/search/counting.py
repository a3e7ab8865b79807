"""Counts of a network at many widths, on the meta device, where tensors have shapes and no numbers.

Nothing here knows a layer. What the network runs is added up by the formulas of torch's counter, and products in place,
which plain torch does not count, by ours (:data:`mtl.models.accounting.IN_PLACE`).
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mtl.errors import ExplainedError
from mtl.models import MultiTaskModel
from mtl.models.accounting import IN_PLACE, without_fused_kernels
from mtl.models.adapters.folding import fold_adapters
from mtl.models.slimmable.axes import WidthTable, at_width
from mtl.models.slimmable.materialize import tasks_that_count
from mtl.models.slimmable.width import WidthConfig
from mtl.tasks import select_tasks


class CostError(ExplainedError, ValueError):
    """A network that cannot be counted. The message says why."""


class CountedNetwork:
    """A network without weights, of some tasks alone, that tells what it costs at a width.

    Args:
        model: a slimmable network at full width. It is not changed.
        size: ``(H, W)`` of the image; padded as the model does.
        tasks: tasks of the materialised network; all by default.
        merged: whether its adapters are folded into plain layers where that is exact.

    Attributes:
        tasks: those that run.
        relevant: the tasks whose widths the cost depends on.
        table: what slims.
        counts: operations and parameters by width, of all that were asked for.

    Raises:
        ValueError: a task the model does not have.
        CostError: the network does not run on the meta device.
    """

    def __init__(
        self, model: MultiTaskModel, size: Sequence[int], tasks: Iterable[str] | None = None, merged: bool = False
    ) -> None:
        self.tasks = select_tasks(model.tasks, tasks)
        self.network, self.table = _on_meta(model, self.tasks, merged)
        self.image = torch.zeros(1, 3, *size, device='meta', dtype=next(self.network.parameters()).dtype)
        self.counter = MetaCounter()
        self.counts: dict[WidthConfig, tuple[int, int]] = {}
        try:
            self.relevant = tasks_that_count(self.network, self.tasks)
            self(model.space.full.for_tasks(self.relevant))
        except (RuntimeError, NotImplementedError) as error:
            raise CostError(
                'The network cannot be counted, because it does not run on the meta device, where tensors have shapes '
                f'and no numbers: {error} What a layer runs may depend on shapes, not on values.'
            ) from error

    def __call__(self, width: WidthConfig) -> tuple[int, int]:
        """Multiply-accumulate operations of one image, and parameters."""
        if width not in self.counts:
            self.counts[width] = self._count(width)
        return self.counts[width]

    def _count(self, width: WidthConfig) -> tuple[int, int]:
        before = self.counter.flops
        with at_width(self.network, self.table, width), without_fused_kernels(), self.counter:
            self.network.logits(self.image, self.tasks)
        named = self.network.named_parameters()
        parameters = sum(self.table.shape(name, parameter.shape, width).numel() for name, parameter in named)
        return (self.counter.flops - before) // 2, parameters


def _on_meta(model: MultiTaskModel, tasks: tuple[str, ...], merged: bool) -> tuple[MultiTaskModel, WidthTable]:
    """``model`` without weights and without other tasks, in evaluation mode, and what slims in it."""
    network = copy.deepcopy(model).to('meta').eval()
    if merged:
        fold_adapters(network.backbone, tasks)
    table = network.width_table()
    others = set(model.tasks) - set(tasks)
    for module in network.modules():
        if isinstance(module, (nn.ModuleDict, nn.ParameterDict)):
            for task in others & set(module.keys()):
                del module[task]
    modules = dict(network.named_modules())
    tensors = dict([*network.named_parameters(), *network.named_buffers()])
    table.tensors = {name: axes for name, axes in table.tensors.items() if name in tensors}
    table.norms = {name: group for name, group in table.norms.items() if name in modules}
    table.settings = {name: value for name, value in table.settings.items() if name.rpartition('.')[0] in modules}
    return network, table


class MetaCounter(TorchDispatchMode):
    """Adds up floating point operations, by the formulas of torch's ``FlopCounterMode``.

    On the meta device an operation gives nothing but shapes, which follow from the shapes of its inputs. torch derives
    many of them in Python, one element-wise step after another. They are kept here, so runs that differ in a few layers
    take a fraction of the time. An operation that writes to its inputs runs every time.

    Attributes:
        flops: of everything that ran inside so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.formulas = FlopCounterMode(display=False, custom_mapping=IN_PLACE).flop_registry
        self.known: dict[tuple, tuple[int, Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Collection[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        key = (func, _key(args), _key(kwargs))
        if key in self.known:
            flops, result = self.known[key]
            # a tensor of its own for whoever may change its shape in place
            result = result.detach() if isinstance(result, Tensor) else type(result)(x.detach() for x in result)
        else:
            result = func(*args, **kwargs)
            formula = self.formulas.get(getattr(func, 'overloadpacket', func))
            flops = 0 if formula is None else formula(*args, **kwargs, out_val=result)
            if _depends_on_shapes(func, result):
                self.known[key] = flops, result
        self.flops += flops
        return result


def _key(values: Any) -> Any:
    """What the shape of a result follows from, hashable."""
    if isinstance(values, Tensor):
        return values.shape, values.stride(), values.dtype, values.device
    if isinstance(values, (tuple, list)):
        return tuple([_key(value) for value in values])
    if isinstance(values, dict):
        return tuple([(name, _key(value)) for name, value in values.items()])
    return type(values), values


def _depends_on_shapes(func: Any, result: Any) -> bool:
    """Whether ``result`` has no numbers, and nothing else changed."""
    results = result if isinstance(result, (tuple, list)) else [result]
    on_meta = all(isinstance(tensor, Tensor) and tensor.is_meta for tensor in results)
    return on_meta and hasattr(func, '_schema') and not func._schema.is_mutable
