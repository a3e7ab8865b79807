"""The low-rank update ``s * B A`` and the linear layer that carries several of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.adapters.merging import SHARED, Mergeable
from mtl.models.adapters.stream_layer import OneOrMore, StreamLayer
from mtl.models.containers import ModuleDict
from mtl.models.dense import Linear
from mtl.ops.dropout import dropout
from mtl.ops.linear import linear
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.mtlora_linear import Factors, mtlora_linear
from mtl.ops.streams import Streams
from mtl.protocols import Axis

MODES = ('matrix', 'matrixv2', 'addition', 'lora_only')
BASE_INPUTS = ('shared', 'task')


class LowRankUpdate(nn.Module):
    """The update ``dW = s * B A`` of a weight ``[out, in]`` (Hu et al., ICLR 2022).

    ``A`` ``[rank, in]`` starts Kaiming-uniform, ``B`` ``[out, rank]`` at zero, so that training starts from the base
    weight. The scale multiplies directly; it is not divided by the rank.

    Args:
        in_features, out_features, rank: sizes.
        scale: ``s``.
        trainable_scale: learn ``s`` (a parameter of shape ``[1]``) instead of keeping it fixed.
    """

    def __init__(
        self, in_features: int, out_features: int, rank: int, scale: float = 1.0, trainable_scale: bool = False
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f'The rank of a low-rank update is at least 1; found {rank}.')
        self.A = nn.Parameter(torch.empty(rank, in_features))
        self.B = nn.Parameter(torch.zeros(out_features, rank))
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))
        self.scale = nn.Parameter(torch.tensor([float(scale)])) if trainable_scale else float(scale)

    @property
    def rank(self) -> int:
        return self.A.shape[0]

    def forward(self, x: Tensor) -> Tensor:
        """``s * B A x`` for ``x`` of shape ``[..., in]``."""
        return F.linear(F.linear(x, self.A), self.B) * self.scale

    def factors(self) -> Factors:
        """``A`` and ``s * B``."""
        return Factors(self.A, self.B * self.scale)

    def delta_weight(self) -> Tensor:
        """``s * B A``, ``[out, in]``."""
        return self.B @ self.A * self.scale

    def extra_repr(self) -> str:
        scale = 'trained' if isinstance(self.scale, nn.Parameter) else self.scale
        return f'in={self.A.shape[1]}, out={self.B.shape[0]}, rank={self.rank}, scale={scale}'


def stacked_factors(updates: Iterable[LowRankUpdate]) -> Factors:
    """Factors of ``T`` updates as stacks, smaller ranks padded with zeros, which add nothing."""
    updates = list(updates)
    rank = max(update.rank for update in updates)
    A = torch.stack([F.pad(update.A, (0, 0, 0, rank - update.rank)) for update in updates])
    B = torch.stack([F.pad(update.B.T * update.scale, (0, 0, 0, rank - update.rank)) for update in updates])
    return Factors(A, B)


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`mtl.ops.dropout.dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """``[...]`` to ``[...]``."""
        return dropout(x, self.p if self.training else 0.0)


class MTLoRALinear(Mergeable, StreamLayer, Linear):
    """A frozen linear layer with a shared and several task-specific low-rank updates (MTLoRA, CVPR 2024, eq. 3-4).

    With the shared input ``x``, a task's own input ``x_t`` (``x`` itself, after dropout, where the task has no stream
    yet) and the update ``U = s * B A``:

    ============  =======================================  ====================================
    mode          shared output                            output of task ``t``
    ============  =======================================  ====================================
    `matrix`      ``W x + b + U drop(x)``                  ``W x + b + U_t x_t``
    `matrixv2`    ``W x + b + U drop(x)``                  ``W x + b + U drop(x) + U_t x_t``
    `addition`    ``W x + b + LayerNorm(sum_t y_t)``       ``y_t = W x + b + U_t x_t``
    `lora_only`   ``W x + b + U drop(x)``                  none: the layer has no task factors
    ============  =======================================  ====================================

    ``base_input='task'`` (ours) replaces ``W x`` by ``W x_t`` in the task outputs where the task has a stream.

    The base weight and bias keep the names of ``nn.Linear`` (``weight``, ``bias``), so checkpoints of the bare
    backbone fit.

    Args:
        base: the layer to adapt; its parameters are taken over (who trains is decided by the backbone).
        rank: rank of the shared update; 0 for none.
        task_ranks: rank a task; tasks with rank 0 have no update (and no stream of their own) here.
        scale, task_scales: ``s`` and ``s_t`` (a number, or one per task).
        trainable_scale, trainable_task_scale: learn them.
        dropout: on the shared input of the low-rank products (one mask), as published.
        stream_dropout: on the tasks' own inputs as well.
        mode, base_input: see above.
    """

    tasks: ModuleDict[LowRankUpdate]

    def __init__(
        self,
        base: nn.Linear,
        rank: int = 0,
        task_ranks: Mapping[str, int] | None = None,
        scale: float = 1.0,
        task_scales: float | Mapping[str, float] = 1.0,
        trainable_scale: bool = False,
        trainable_task_scale: bool = False,
        dropout: float = 0.0,
        stream_dropout: bool = False,
        mode: str = 'matrix',
        base_input: str = 'shared',
    ) -> None:
        if mode not in MODES or base_input not in BASE_INPUTS:
            raise ValueError(
                f'mode must be one of {MODES} and base_input one of {BASE_INPUTS}; found {mode!r} and {base_input!r}.'
            )
        super().__init__(base)
        self.mode, self.base_input, self.stream_dropout = mode, base_input, stream_dropout
        task_ranks = {} if mode == 'lora_only' else {task: r for task, r in (task_ranks or {}).items() if r > 0}
        sizes = (base.in_features, base.out_features)
        # without task factors there is nothing to sum, and `addition` is the plain shared update
        has_shared = rank > 0 and not (mode == 'addition' and task_ranks)
        self.shared = LowRankUpdate(*sizes, rank, scale, trainable_scale) if has_shared else None
        self.tasks = ModuleDict(
            {
                task: LowRankUpdate(*sizes, r, _of_task(task_scales, task), trainable_task_scale)
                for task, r in task_ranks.items()
            }
        )
        self.needs_all_tasks = mode == 'addition' and len(task_ranks) > 0  # the shared output sums over them
        self.norm = nn.LayerNorm(base.out_features) if self.needs_all_tasks else None
        self.dropout = Dropout(dropout)

    def forward(
        self, x: OneOrMore, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> OneOrMore:
        """See :class:`StreamLayer`. After ``merge(task)``, the output of one stream is that of this task.

        Raises:
            ValueError: in mode `addition`, other ``tasks`` than all of the layer's.
        """
        if isinstance(x, Tensor):
            if self.norm is None:
                return self(Streams(x), gelu=gelu).shared
            return self(Streams(x.flatten(0, -2)), tuple(self.tasks), gelu=gelu).shared.view(*x.shape[:-1], -1)
        if self.needs_all_tasks and tuple(tasks) != tuple(self.tasks):
            raise ValueError(
                f'Mode addition sums over all tasks, {", ".join(self.tasks)}; asked to run {", ".join(tasks)} only.'
            )
        if tuple(tasks) == (self.merged,):
            shared = self._run(Streams(x.shared), (), None, gelu=gelu).shared if keep_shared else None
            own = linear(x.need_shared()[None] if x.own is None else x.own.dense(), self.weight, self.bias, gelu)
            return Streams(shared, LowRankStreams.of_rank_0(own))
        starts = any(task in self.tasks for task in tasks)
        is_merged = self.merged == SHARED or (self.merged is not None and not starts)
        merged = self.weight if is_merged else None
        return self._run(x, tasks if starts else (), merged, keep_shared=keep_shared, gelu=gelu)

    def _run(self, x: Streams, tasks: tuple[str, ...], merged: Tensor | None, **options: bool) -> Streams:
        p = self.dropout.p if self.training else 0.0
        return mtlora_linear(
            x,
            self.base_weight,
            self.bias,
            self.shared.factors() if self.shared is not None and (tasks or merged is None) else None,
            stacked_factors(self.tasks[task] for task in tasks) if tasks else None,
            adds_shared=self.mode == 'matrixv2',
            task_base=self.base_input == 'task',
            norm=self.norm,
            merged=merged,
            p=p,
            stream_p=p if self.stream_dropout else 0.0,
            **options,
        )

    def adds_low_rank(self, tasks: tuple[str, ...]) -> bool:
        """See :class:`StreamLayer`: each of ``tasks`` has the output ``base + B_t A_t x_t``, ``base`` that of all."""
        drops_streams = self.stream_dropout and self.training and self.dropout.p > 0
        has_all = all(task in self.tasks for task in tasks)
        return has_all and self.norm is None and self.base_input == 'shared' and not drops_streams

    def matrix(self) -> Tensor | None:
        """See :meth:`mtl.models.dense.Linear.matrix`; with the shared update."""
        drops = self.training and self.dropout.p > 0
        return None if drops or self.norm is not None else self.base_weight + self.delta_weight()

    # ---- adapter protocol ---------------------------------------------------------------------------------------

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The parameters that belong to the adapter, not to the base layer."""
        return [p for module in (self.shared, self.tasks, self.norm) if module is not None for p in module.parameters()]

    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`."""
        axes = super().slim_axes(out, into)
        for name in ([] if self.shared is None else ['shared']) + [f'tasks.{task}' for task in self.tasks]:
            axes |= {f'{name}.A': {1: into}, f'{name}.B': {0: out}}
        return axes if self.norm is None else {**axes, 'norm.weight': {0: out}, 'norm.bias': {0: out}}

    def updates(self) -> Iterator[tuple[nn.Parameter, list[nn.Parameter]]]:
        """See :class:`mtl.protocols.AdapterLayer`: of streams that are stacked, some may go nowhere."""
        for update in (*([] if self.shared is None else [self.shared]), *self.tasks.values()):
            yield update.B, list(update.parameters())

    def delta_weight(self, task: str | None = None) -> Tensor:
        """The update ``[out, in]`` of the shared weight, or of ``task``; zeros where there is none.

        Raises:
            ValueError: in mode `addition` the shared output is not a linear function of its input.
        """
        if task is None and self.norm is not None:
            raise ValueError('Mode addition normalises the sum of the task outputs: the shared update is not a matrix.')
        update = self.shared if task is None else dict(self.tasks.items()).get(task)
        return torch.zeros_like(self.weight) if update is None else update.delta_weight()

    def why_unmergeable(self, task: str | None = None) -> str | None:
        """Why :meth:`merge` cannot fold the shared update (or that of ``task``) into one weight; ``None`` if it can."""
        if self.norm is not None:
            return 'mode addition adds a LayerNorm of all task outputs together, which is not a linear map.'
        if task is None or task not in self.tasks:
            return None
        if self.base_input == 'shared':
            return (
                "with base_input='shared' a task output takes two inputs, W of the shared stream and B A of the task's "
                "own; only base_input='task' makes it one weight."
            )
        if self.mode == 'matrixv2' and self.shared is not None:
            return 'mode matrixv2 adds the update of the shared stream to the task output, which thus has two inputs.'
        return None


def _of_task(values: float | Mapping[str, float], task: str) -> float:
    return values[task] if isinstance(values, Mapping) else values
