"""The low-rank update ``s * B A`` and the linear layer that carries several of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.adapters.merging import SHARED, Mergeable
from mtl.models.dense import Linear
from mtl.ops.dropout import dropout
from mtl.ops.linear import linear, with_each
from mtl.ops.low_rank_linear import low_rank_linear, second_product_pays

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

    def delta_weight(self) -> Tensor:
        """``s * B A``, ``[out, in]``."""
        return self.B @ self.A * self.scale

    def extra_repr(self) -> str:
        scale = 'trained' if isinstance(self.scale, nn.Parameter) else self.scale
        return f'in={self.A.shape[1]}, out={self.B.shape[0]}, rank={self.rank}, scale={scale}'


def stacked_update(updates: Iterable[LowRankUpdate], x: Tensor) -> Tensor:
    """Apply the updates of ``T`` tasks at once.

    Args:
        updates: one a task; ranks may differ (the smaller are padded with zeros, which adds nothing).
        x: ``[T, ..., in]``, each task's own input, or ``[1, ..., in]``, one input for all.

    Returns:
        ``[T, ..., out]``.
    """
    A, B = stacked_factors(updates)
    rows = x.flatten(1, -2)
    return (with_each(A, rows) @ B).unflatten(1, x.shape[1:-1])


def stacked_factors(updates: Iterable[LowRankUpdate]) -> tuple[Tensor, Tensor]:
    """``A`` as ``[T, rank, in]`` and ``s * B`` transposed, ``[T, rank, out]``; smaller ranks padded with zeros."""
    updates = list(updates)
    rank = max(update.rank for update in updates)
    A = torch.stack([F.pad(update.A, (0, 0, 0, rank - update.rank)) for update in updates])
    B = torch.stack([F.pad(update.B.T * update.scale, (0, 0, 0, rank - update.rank)) for update in updates])
    return A, B


class Dropout(nn.Dropout):
    """``nn.Dropout`` by :func:`mtl.ops.dropout.dropout`."""

    def forward(self, x: Tensor) -> Tensor:
        """``[...]`` to ``[...]``."""
        return dropout(x, self.p if self.training else 0.0)


class MTLoRALinear(Mergeable, Linear):
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
        scale, task_scales: ``s`` and ``s_t`` (a number, or one a task).
        trainable_scale, trainable_task_scale: learn them.
        dropout: on the shared input of the low-rank products (one mask), as published.
        stream_dropout: on the tasks' own inputs as well.
        mode, base_input: see above.
    """

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
        self._init_merging()
        self.mode, self.base_input, self.stream_dropout = mode, base_input, stream_dropout
        task_ranks = {} if mode == 'lora_only' else {task: r for task, r in (task_ranks or {}).items() if r > 0}
        sizes = (base.in_features, base.out_features)
        # without task factors there is nothing to sum, and `addition` is the plain shared update
        has_shared = rank > 0 and not (mode == 'addition' and task_ranks)
        self.shared = LowRankUpdate(*sizes, rank, scale, trainable_scale) if has_shared else None
        self.tasks = nn.ModuleDict(
            {
                task: LowRankUpdate(*sizes, r, _of_task(task_scales, task), trainable_task_scale)
                for task, r in task_ranks.items()
            }
        )
        self.norm = nn.LayerNorm(base.out_features) if mode == 'addition' and task_ranks else None
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """Shared output ``[..., out]`` of ``x`` ``[..., in]`` (in mode `addition`, of all tasks reading ``x``).

        After ``merge(task)``: the output of that task for its input ``x``. With ``gelu``, the GELU of the output.
        """
        if self.merged is not None or (self.shared is None and self.norm is None):
            return linear(x, self.weight, self.bias, gelu)
        if self.norm is not None:
            y = self.forward_streams(x[None], tuple(self.tasks))[0]
        else:
            p = self.dropout.p if self.training else 0.0
            y = low_rank_linear(x, self.weight, self.bias, self.shared.A, self.shared.B * self.shared.scale, p)
        return F.gelu(y) if gelu else y

    def shared_and_base(
        self, x: Tensor, dropped: Tensor, keep_shared: bool = True, gelu: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Shared output of ``x`` ``[N, in]``, and what the task outputs add their own update to (not in `addition`).

        Args:
            x, dropped: shared input, without and with dropout.
            keep_shared: ``None`` instead of a shared output nobody reads.
            gelu: of the shared output, give the GELU.
        """
        adds_shared = self.mode == 'matrixv2'
        is_merged = adds_shared and self.merged == SHARED
        base = linear(x, self.weight if is_merged else self.base_weight, self.bias)
        if is_merged or self.shared is None or not (keep_shared or adds_shared):
            shared = base
        elif not adds_shared and self._runs_twice(x, dropped):
            weight = self.weight if self.merged == SHARED else self.weight + self.delta_weight()
            return linear(x, weight, self.bias, gelu), base
        else:
            shared = torch.addmm(base, linear(dropped, self.shared.A), (self.shared.B * self.shared.scale).T)
            base = shared if adds_shared else base
        return (F.gelu(shared) if gelu else shared) if keep_shared else None, base

    def _runs_twice(self, x: Tensor, dropped: Tensor) -> bool:
        """Whether the shared output is a product of its own: without gradients, where that is quicker."""
        return (
            dropped is x
            and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
            and second_product_pays(len(x), *reversed(self.weight.shape), self.shared.rank)
        )

    def forward_streams(self, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True) -> Tensor:
        """Outputs of the shared stream and of the task streams, stacked.

        Args:
            x: ``[1 + T, ..., in]`` with the shared stream first, or ``[1, ..., in]`` where the tasks have no stream
                yet.
            tasks: names of the ``T`` tasks. In mode `addition` the shared output needs all the layer's tasks.
            keep_shared: compute the shared output too; off where nobody reads it.

        Returns:
            ``[1 + T, ..., out]``, or ``[T, ..., out]`` without the shared output. Without factors of these tasks, the
            layer applied to every stream of ``x``.
        """
        if not any(task in self.tasks for task in tasks):
            return self(x if keep_shared else x[1:])
        shared, own = x[:1], x[1:]
        if tuple(tasks) == (self.merged,):
            output = linear(x[-1:], self.weight, self.bias)
            return torch.cat([self._unmerged_shared(shared), output]) if keep_shared else output
        dropped = self.dropout(shared)
        if len(own) and self.stream_dropout:
            own = self.dropout(own)
        base = linear(shared, self.base_weight, self.bias)
        task_base = linear(x[1:], self.base_weight, self.bias) if len(own) and self.base_input == 'task' else base
        update = stacked_update((self.tasks[task] for task in tasks), own if len(own) else dropped)
        if self.norm is not None:
            if tuple(tasks) != tuple(self.tasks):
                raise ValueError(
                    f'Mode addition sums over all tasks, {", ".join(self.tasks)}; asked to run {", ".join(tasks)} only.'
                )
            streams = task_base + update
            if not keep_shared:
                return streams
            return torch.cat([base + self.norm(streams.sum(dim=0, keepdim=True)), streams])
        adds_shared = self.mode == 'matrixv2'
        shared_update = self.shared(dropped) if self.shared is not None and (keep_shared or adds_shared) else 0.0
        streams = task_base + (shared_update + update if adds_shared else update)
        return torch.cat([base + shared_update, streams]) if keep_shared else streams

    def adds_to_shared(self, tasks: Iterable[str]) -> bool:
        """Whether each of ``tasks`` has an output ``base + B_t A_t x_t`` with one base, of the shared input, for all.

        Then the outputs of the task streams differ from it by a product of low rank (see
        :func:`mtl.ops.low_rank_streams.task_streams`).
        """
        drops_streams = self.stream_dropout and self.training and self.dropout.p > 0
        has_all = all(task in self.tasks for task in tasks)
        return has_all and self.norm is None and self.base_input == 'shared' and not drops_streams

    # ---- adapter protocol ---------------------------------------------------------------------------------------

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The parameters that belong to the adapter, not to the base layer."""
        return [p for module in (self.shared, self.tasks, self.norm) if module is not None for p in module.parameters()]

    def delta_weight(self, task: str | None = None) -> Tensor:
        """The update ``[out, in]`` of the shared weight, or of ``task``; zeros where there is none.

        Raises:
            ValueError: in mode `addition` the shared output is no linear function of its input.
        """
        if task is None and self.norm is not None:
            raise ValueError('Mode addition normalises the sum of the task outputs: the shared update is no matrix.')
        update = self.shared if task is None else dict(self.tasks.items()).get(task)
        return torch.zeros_like(self.weight) if update is None else update.delta_weight()

    def _unmerged_shared(self, x: Tensor) -> Tensor:
        y = linear(x, self.base_weight, self.bias)
        return y if self.shared is None else y + self.shared(x)

    def why_unmergeable(self, task: str | None = None) -> str | None:
        """Why :meth:`merge` cannot fold the shared update (or that of ``task``) into one weight; ``None`` if it can."""
        if self.norm is not None:
            return 'mode addition adds a LayerNorm of all task outputs together, which is no linear map.'
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
