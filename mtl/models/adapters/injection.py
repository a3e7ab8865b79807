"""Where the updates of MTLoRA go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from mtl.models.adapters.convolution import LowRankConv2d
from mtl.models.adapters.mtlora import MTLoRALinear
from mtl.models.adapters.placement import STREAM_TARGETS, Placement, of_stage
from mtl.registry import MODELS

TARGETS = ('qkv', 'proj', 'fc1', 'fc2', 'reduction', 'conv')


@MODELS.register_module()
class MTLoRA(Placement):
    """Placement of MTLoRA (MTLoRA, CVPR 2024, section 3.2, of a hierarchical Swin).

    Shared updates sit on the targets of every block; task updates on ``proj``, ``fc1`` and ``fc2`` of the last block
    of each stage, never on ``qkv``. MTLoRA+ also adapts the patch-merging ``reduction`` (shared update). Convolutions
    have the shared update only.

    Args:
        rank: shared rank, one number or one per stage; 0 for none.
        task_rank: rank of the task updates: a number, one per stage, or ``{task: number}``; 0 for none.
        scale: scale of the shared update, one number or one per stage.
        task_scale: scale of the task updates: a number, one per stage, or ``{task: number}``.
        dropout: adapter dropout, one number or one per stage.
        targets: layers to adapt, among ``qkv proj fc1 fc2 reduction conv``.
        blocks: ``'all'``, or ``'last'`` of each stage only (what remains after merging, see `tools/deploy`).
        mode, base_input, stream_dropout, trainable_scale, trainable_task_scale: see :class:`MTLoRALinear`.
    """

    def __init__(
        self,
        rank: int | Sequence[int] = 64,
        task_rank: int | Mapping[str, int] | Sequence[int | Mapping[str, int]] = 4,
        scale: float | Sequence[float] = 4.0,
        task_scale: float | Mapping[str, float] | Sequence[float | Mapping[str, float]] = 4.0,
        dropout: float | Sequence[float] = 0.05,
        targets: Sequence[str] = ('qkv', 'proj', 'fc1', 'fc2'),
        blocks: str = 'all',
        mode: str = 'matrix',
        base_input: str = 'shared',
        stream_dropout: bool = False,
        trainable_scale: bool = False,
        trainable_task_scale: bool = False,
    ) -> None:
        unknown = [target for target in targets if target not in TARGETS]
        if unknown:
            raise ValueError(f'Adapter targets must be among {", ".join(TARGETS)}; found {", ".join(unknown)}.')
        if blocks not in ('all', 'last'):
            raise ValueError(f"blocks must be 'all' or 'last'; found {blocks!r}.")
        self.blocks = blocks
        self.rank, self.task_rank, self.scale, self.task_scale = rank, task_rank, scale, task_scale
        self.dropout, self.targets = dropout, tuple(targets)
        ranks = task_rank if isinstance(task_rank, Sequence) else [task_rank]
        ranks = [rank for each in ranks for rank in (each.values() if isinstance(each, Mapping) else [each])]
        self.wants_streams = mode != 'lora_only' and any(ranks) and bool(set(targets) & set(STREAM_TARGETS))
        self.options: dict[str, Any] = dict(
            mode=mode,
            base_input=base_input,
            stream_dropout=stream_dropout,
            trainable_scale=trainable_scale,
            trainable_task_scale=trainable_task_scale,
        )

    def adapt(
        self, layer: nn.Module, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Module:
        """See :meth:`Placement.adapt`."""
        if target not in self.targets or (self.blocks == 'last' and not last):
            return layer
        rank: int = of_stage(self.rank, stage)
        scale: float = of_stage(self.scale, stage)
        dropout: float = of_stage(self.dropout, stage)
        task_rank: int | Mapping[str, int] = of_stage(self.task_rank, stage)
        task_scale: float | Mapping[str, float] = of_stage(self.task_scale, stage)
        ranks = [rank, *(task_rank.values() if isinstance(task_rank, Mapping) else [task_rank])]
        if any(not isinstance(each, int) or each < 0 for each in ranks):
            raise ValueError(f'Ranks of adapters are integers from 0 (none) on; found {ranks} in stage {stage}.')
        if isinstance(layer, nn.Conv2d):
            return LowRankConv2d(layer, rank, scale, self.options['trainable_scale'], dropout) if rank else layer
        assert isinstance(layer, nn.Linear)  # as every layer with adapters but a convolution
        adapted = MTLoRALinear(
            layer,
            rank=rank,
            task_ranks={t: task_rank[t] if isinstance(task_rank, Mapping) else task_rank for t in tasks},
            scale=scale,
            task_scales=task_scale,
            dropout=dropout,
            **self.options,
        )
        return adapted if adapted.adapter_parameters() else layer

    def remaining(self, options: Mapping, stages: Collection[int], count: int) -> dict:
        """See :meth:`Placement.remaining`: what cannot be folded is in the last blocks, where streams begin."""
        rank = [of_stage(self.rank, stage) if stage in stages else 0 for stage in range(count)]
        targets = [target for target in self.targets if target in STREAM_TARGETS]
        return {**options, 'rank': rank, 'targets': targets, 'blocks': 'last'}
