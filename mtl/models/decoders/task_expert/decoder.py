"""TaskExpert (ICCV 2023, arXiv 2307.15324): memorial mixtures of experts at the levels of a pyramid."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.containers import ModuleDict, ModuleList
from mtl.models.decoders.task_expert.experts import Experts
from mtl.models.decoders.task_expert.gates import GATES, Gate, gate, importance_balance
from mtl.models.decoders.task_expert.memory import Memories, MemoryAccess
from mtl.models.decoders.task_expert.width import width_table
from mtl.models.slimmable.axes import WidthTable
from mtl.models.slimmable.width import WidthConfig
from mtl.ops.linear import with_each
from mtl.ops.mixture_of_experts import mix_outputs, prefix_norm
from mtl.ops.recompute import recomputed
from mtl.ops.upsample import upsampled
from mtl.protocols import Decoder, DecoderInput, DecoderOutput, Projection, Slimmable
from mtl.registry import MODELS
from mtl.structures import SHARED

EXPERT_INPUTS = ('task', SHARED)
FINEST = 'finest'
RESOLUTIONS = ('level', FINEST)
ENTRIES = ('first', 'levels')


@MODELS.register_module()
class TaskExpertDecoder(Decoder, Slimmable):
    """Memorial mixture-of-experts decoder for all tasks at once (TaskExpert, Ye and Xu, ICCV 2023).

    The paper states: mixtures of experts at several levels of the backbone; experts take the backbone's feature apart
    into task-generic ones; dynamic, input-dependent gates of each task put them together again; a feature memory of
    each task is read as one more expert and written at every level; the last memory gives the prediction. It has no
    public code and leaves the equations below to us. Levels ``l = 1..L`` from fine to coarse, ``t`` a task, ``M_0,t =
    e_t`` a learned embedding:

        X_l,t = norm(P_l level_l,t)                              D channels; level_l of the task's stream, or the shared
        A_l,t = M_l-1,t + Q_l,t X_l,t                            what the level brings enters the memory
        m     = norm_l(A_l,t)
        g     = softmax(G_l,t [X_l,t, m])                        gates over N experts and the memory
        F_l,t = sum_n g_n E_l,n(X_l,t) + g_N+1 R_l(m)            read, see :class:`Experts`, :class:`MemoryAccess`
        M_l,t = A_l,t + sigmoid(z_l [m, F_l,t]) U_l [m, F_l,t]   write
        map_t = norm(M_L,t)

    Without memory ``g`` is over the experts and of ``X_l,t`` alone, and ``map_t = norm(sum_l F_l,t + Q_l,t X_l,t)``.
    The tasks run as one stack ``[T, B, H, W, D]``; only embeddings, gates and entries ``Q`` are a task's own.

    *Width.* A task may use the first ``k`` of the ``D`` channels everywhere, and the first ``k * expert_ratio`` hidden
    units of each expert. Tasks of one width run together. Experts that read the shared stream run once, at the width of
    the widest task of the configuration, whichever tasks run.

    Args:
        in_channels: channels of the pyramid's levels (the model fills it in).
        tasks: names of the tasks (the model fills it in).
        channels: ``D``.
        experts: ``N``.
        expert_ratio: hidden units of an expert per channel.
        expert_input: what the experts take apart: ``'task'``, each task's own stream where the backbone gives one (then
            the mixture is one matrix product per task, see :class:`Experts`); ``'shared'``, the shared stream, once for
            all tasks, whose own streams then speak through gates and memories.
        gates: ``'pixel'``, ``'image'`` or ``'static'``, see :func:`mtl.models.decoders.task_expert.gates.gate`.
        memory: with the memory.
        share_experts: one set of experts for all levels instead of one per level.
        balance_weight: weight of the loss that keeps the experts in even use, the squared coefficient of variation of
            the mean gates (over images, pixels and tasks), averaged over levels.
        deep_supervision: weight of the mean loss of the predictions that the memories of the earlier levels give.
        checkpoint_experts: keep no hidden units of the experts for the backward pass, compute them again.
        upsampling: run at so many times the resolution of the levels; 2 makes up for the stride of 16 of a plain
            transformer.
        resolution: ``'level'``: gates, experts, read and write of a level run at its own resolution, see
            :class:`mtl.models.decoders.task_expert.memory.Memories`. ``'finest'``: all levels are upsampled to the
            finest first.
        entries: ``'levels'``: every level enters the memory, by a matrix ``Q_l,t`` per level and task. ``'first'``: the
            first alone, by one matrix of all tasks (``Q_l = 0`` for ``l > 1``; with a memory only). What the other
            levels know then reaches the memory by experts and gates alone, and learns slowly
            (``docs/task_expert.md``).
        task_channels: width ``k`` of each task; ``channels`` for all by default. Those of other tasks may stand beside
            them: they count for the width of the experts of the shared stream.

    Attributes:
        task_channels: may be changed between calls; ``out_channels`` follows.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        tasks: Sequence[str],
        channels: int = 256,
        experts: int = 5,
        expert_ratio: float = 1.0,
        expert_input: str = 'task',
        gates: str = 'pixel',
        memory: bool = True,
        share_experts: bool = False,
        balance_weight: float = 0.0,
        deep_supervision: float = 0.0,
        checkpoint_experts: bool = False,
        upsampling: int = 1,
        resolution: str = FINEST,
        entries: str = 'first',
        task_channels: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ('gates', gates, GATES),
            ('expert_input', expert_input, EXPERT_INPUTS),
            ('resolution', resolution, RESOLUTIONS),
            ('entries', entries, ENTRIES),
        ):
            if value not in allowed:
                raise ValueError(f'{name} must be one of {", ".join(allowed)}; found {value!r}.')
        self.resolution = resolution
        self.channels, self.expert_ratio, self.gate_kind = channels, expert_ratio, gates
        self.reads_shared = expert_input == SHARED
        self.balance_weight, self.deep_supervision = balance_weight, deep_supervision
        self.checkpoint_experts, self.upsampling = checkpoint_experts, upsampling
        self.task_channels = dict.fromkeys(tasks, channels) if task_channels is None else dict(task_channels)
        self._check_widths(tasks)

        levels = len(in_channels)
        self.projections = ModuleList(nn.Linear(width, channels, bias=False) for width in in_channels)
        self.norms = ModuleList(nn.LayerNorm(channels) for _ in in_channels)
        hidden = self.hidden(channels)
        self.experts = ModuleList(Experts(experts, channels, hidden) for _ in range(1 if share_experts else levels))
        sources = 0 if gates == 'static' else 1 + memory
        self.gates = ModuleList(
            ModuleDict({task: Gate(experts + memory, sources, self.task_channels[task]) for task in tasks})
            for _ in in_channels
        )
        self.entries: ModuleList[ModuleDict[nn.Linear]] | None = None
        if entries == 'levels':
            self.entries = ModuleList(
                ModuleDict(
                    {task: nn.Linear(k, k, bias=False) for task, k in self.task_channels.items() if task in tasks}
                )
                for _ in in_channels
            )
        self.memory = ModuleList(MemoryAccess(channels) for _ in in_channels) if memory else None
        if memory:
            self.embeddings = nn.ParameterDict(
                {task: nn.Parameter(torch.empty(self.task_channels[task])) for task in tasks}
            )
            if entries == 'first':
                self.first = nn.Linear(channels, channels, bias=False)
            for embedding in self.embeddings.values():
                nn.init.normal_(embedding, std=0.02)
        self.norm = nn.LayerNorm(channels)

    @property
    def out_channels(self) -> dict[str, int]:  # type: ignore[override]  # follows `task_channels`
        return dict(self.task_channels)

    @property
    def choices(self) -> tuple[str, ...]:
        """What the gates choose from: the experts, counted from 1, and the memory."""
        experts = tuple(f'expert_{n}' for n in range(1, len(self.experts[0]) + 1))
        return experts if self.memory is None else (*experts, 'memory')

    def size(self, level: Sequence[int]) -> tuple[int, int]:
        """``(H, W)`` at which a level of size ``level`` runs."""
        height, width = level
        return height * self.upsampling, width * self.upsampling

    def hidden(self, channels: int) -> int:
        """Hidden units of each expert at a width of ``channels``."""
        return max(1, round(channels * self.expert_ratio))

    def wants(self, own: Sequence[frozenset[str]], tasks: tuple[str, ...]) -> list[dict[Hashable, Projection]]:
        """See :meth:`Decoder.wants`: each group's streams at its width; the shared stream at the widest task's."""
        groups, widest, levels = self._groups(own, tasks), max(self.task_channels.values()), []
        for index, of_level in enumerate(own):
            wanted: dict[Hashable, Projection] = {}
            for group in groups:
                streams = group if group[0] in of_level else (SHARED,)
                weight = self.projections[index].weight[: self.task_channels[group[0]]]
                wanted[group] = Projection(streams, weight.expand(len(streams), -1, -1))
            if any(self._mixes_shared(group, of_level) for group in groups):
                wanted[SHARED] = Projection((SHARED,), self.projections[index].weight[None, :widest])
            levels.append(wanted)
        return levels

    def forward(self, features: DecoderInput, tasks: Sequence[str]) -> DecoderOutput:
        """Maps ``[B, k, H, W]`` (``k`` the task's width), of :meth:`size`, for each of ``tasks``."""
        tasks, levels = tuple(tasks), features.levels
        groups = self._groups(features.own, tasks)
        memories = [Memories(reads=self.memory is not None) for _ in groups]
        intermediate, gates = [], []
        for index, (level, own) in enumerate(zip(levels, features.own, strict=True)):
            size = self.size(levels[0 if self.resolution == FINEST else index][groups[0]].shape[2:4])
            shared = self._shared_experts(index, level[SHARED], size) if SHARED in level else None
            gates_of: dict[str, Tensor] = {}
            for i, group in enumerate(groups):
                x = self._entering(index, level[group], size)
                outputs = shared if self._mixes_shared(group, own) else None
                entered = memories[i].at(size)
                left, values = self._level(index, x, group, entered, outputs)
                memories[i].keep(entered, left)
                gates_of.update(zip(group, values, strict=True))
            gates.append(torch.stack([gates_of[task] for task in tasks]))
            if self.training and self.deep_supervision and index + 1 < len(levels):
                intermediate.append(self._maps(memories, groups, tasks))
        losses = {}
        if self.training and self.balance_weight:
            balance = torch.stack([importance_balance(values) for values in gates]).mean()
            losses['gate_balance'] = self.balance_weight * balance
        return DecoderOutput(
            maps=self._maps(memories, groups, tasks),
            intermediate=tuple(intermediate),
            intermediate_weight=self.deep_supervision,
            losses=losses,
            gates=tuple(values.detach() for values in gates),
            choices=self.choices,
        )

    # ---- one level ------------------------------------------------------------------------------------------------

    def _level(
        self,
        index: int,
        x: Tensor,
        tasks: tuple[str, ...],
        state: Tensor | None,
        shared: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Memories (or sums) of a group of tasks after this level, ``[T, B, H, W, k]``, and their gates.

        Args:
            x: ``X_l`` of the tasks, ``[S, B, H, W, k]``.
            state: the memories before, ``None`` where there are none yet.
            shared: outputs of the experts of the shared stream where the tasks mix those, see :meth:`Experts.outputs`.
        """
        width = self.task_channels[tasks[0]]
        experts, access = self._experts(index), None if self.memory is None else self.memory[index]
        sources = [x]
        memory = self._enter(index, x, tasks, state)
        if access is not None and memory is not None:
            normed = _normalised(access.norm, memory)
            sources.append(normed)
        gates = gate([self.gates[index][task] for task in tasks], self.gate_kind, sources)
        of_experts = gates[..., : len(experts)]
        if shared is not None:
            feature = mix_outputs(shared[..., :width], of_experts)
        else:
            feature = self._mixture(experts, x, of_experts, width)
        if access is None or memory is None:
            return (feature if memory is None else memory + feature), gates
        feature = torch.addcmul(feature, gates[..., len(experts) :], access.read(normed))
        return access.write(memory, normed, feature), gates

    def _enter(self, index: int, x: Tensor, tasks: tuple[str, ...], state: Tensor | None) -> Tensor | None:
        """``M + Q x`` of a group of tasks: the memory, or the embeddings at first, and what the level brings."""
        width = x.shape[-1]
        if state is None and self.memory is not None:
            state = torch.stack([self.embeddings[task][:width] for task in tasks])[:, None, None, None]
            if self.entries is None:
                state = state + F.linear(x, self.first.weight[:width, :width])
        if self.entries is None:
            return state
        weights = torch.stack([self.entries[index][task].weight[:width, :width] for task in tasks])
        brought = with_each(weights, x.flatten(1, 3)).unflatten(1, x.shape[1:4])
        return brought if state is None else state + brought

    def _mixture(self, experts: Experts, x: Tensor, gates: Tensor, width: int) -> Tensor:
        def run(x: Tensor, gates: Tensor) -> Tensor:
            return experts.mixture(experts.active(x, self.hidden(width)), gates, width)

        return self._run(run, x, gates)

    def _shared_experts(self, index: int, level: Tensor, size: tuple[int, int]) -> Tensor:
        """Outputs of the experts of the shared stream, ``[B * H * W, N, k]`` at the widest task's width."""
        experts, width = self._experts(index), level.shape[-1]

        def run(x: Tensor) -> Tensor:
            return experts.outputs(experts.active(x, self.hidden(width)), width)

        return self._run(run, self._entering(index, level, size))

    def _mixes_shared(self, group: tuple[str, ...], own: frozenset[str]) -> bool:
        """Whether the tasks mix the experts of the shared stream, at a level where those of ``own`` have a stream."""
        return self.reads_shared or group[0] not in own

    def _run(self, function: Callable, *arguments: Tensor) -> Tensor:
        return recomputed(function, *arguments) if self.checkpoint_experts and self.training else function(*arguments)

    def _entering(self, index: int, level: Tensor, size: tuple[int, int]) -> Tensor:
        """``X_l`` of a projected level ``[S, B, H_l, W_l, k]``, norm and upsampling: ``[S, B, H, W, k]``."""
        x = _normalised(self.norms[index], level)
        return upsampled(x.flatten(0, 1), size).unflatten(0, x.shape[:2])

    def _experts(self, index: int) -> Experts:
        return self.experts[min(index, len(self.experts) - 1)]

    # ---- width ----------------------------------------------------------------------------------------------------

    def width_table(self, multiple: int = 8) -> WidthTable:
        """What slims, see :func:`mtl.models.decoders.task_expert.width.width_table`."""
        return width_table(self, multiple)

    def width_options(self, width: WidthConfig, multiple: int = 8) -> dict:
        """Arguments that build this decoder as small as ``width``."""
        outputs = width_table(self, multiple).outputs
        task_channels = {task: outputs[task].length(width) for task in width.decoder}
        return dict(channels=max(task_channels.values()), task_channels=task_channels)

    # ---- groups ---------------------------------------------------------------------------------------------------

    def _groups(self, own: Sequence[frozenset[str]], tasks: tuple[str, ...]) -> list[tuple[str, ...]]:
        """The tasks that run stacked: of one width, with streams of their own at the same levels."""
        groups: dict[tuple, list[str]] = {}
        for task in tasks:
            key = (self.task_channels[task], *(task in of_level for of_level in own))
            groups.setdefault(key, []).append(task)
        return [tuple(group) for group in groups.values()]

    def _maps(
        self, memories: Sequence[Memories], groups: Sequence[tuple[str, ...]], tasks: tuple[str, ...]
    ) -> dict[str, Tensor]:
        maps: dict[str, Tensor] = {}
        for memory, group in zip(memories, groups, strict=True):
            maps.update(zip(group, _normalised(self.norm, memory.total()).permute(0, 1, 4, 2, 3), strict=True))
        return {task: maps[task] for task in tasks}

    def _check_widths(self, tasks: Sequence[str]) -> None:
        wrong = {task: k for task, k in self.task_channels.items() if not 0 < k <= self.channels}
        if not set(tasks) <= set(self.task_channels) or wrong:
            raise ValueError(
                f'task_channels must name a width of 1 to {self.channels} for each of {", ".join(tasks)}; found '
                f'{self.task_channels}.'
            )


def _normalised(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return prefix_norm(x, norm.weight, norm.bias, norm.eps)
