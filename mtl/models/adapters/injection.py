"""Where the adapters go in a timm Swin, and what is trained there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from mtl.models.adapters.mtlora import MTLoRALinear
from mtl.registry import MODELS

TARGETS = ('qkv', 'proj', 'fc1', 'fc2', 'reduction')


@MODELS.register_module()
class MTLoRA:
    """Placement of MTLoRA in a hierarchical Swin (MTLoRA, CVPR 2024, section 3.2).

    Shared updates sit on the targets of every block; task updates on ``proj``, ``fc1`` and ``fc2`` of the last block
    of each stage, never on ``qkv``. MTLoRA+ also adapts the patch-merging ``reduction`` (shared update).

    Args:
        rank: shared rank, one number or one a stage; 0 for none.
        task_rank: rank of the task updates: a number, one a stage, or ``{task: number}``; 0 for none.
        scale: scale of the shared update, one number or one a stage.
        task_scale: scale of the task updates: a number, one a stage, or ``{task: number}``.
        dropout: adapter dropout, one number or one a stage.
        targets: layers to adapt, among ``qkv proj fc1 fc2 reduction``.
        blocks: ``'all'``, or ``'last'`` of each stage only (what remains after merging, see `tools/deploy`).
        mode, base_input, stream_dropout, trainable_scale, trainable_task_scale: see :class:`MTLoRALinear`.
    """

    def __init__(
        self,
        rank: int | Sequence[int] = 64,
        task_rank: int | Sequence | Mapping[str, int] = 4,
        scale: float | Sequence[float] = 4.0,
        task_scale: float | Sequence | Mapping[str, float] = 4.0,
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
        self.options = dict(
            mode=mode,
            base_input=base_input,
            stream_dropout=stream_dropout,
            trainable_scale=trainable_scale,
            trainable_task_scale=trainable_task_scale,
        )

    def adapt(
        self, layer: nn.Linear, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Linear:
        """The adapted ``layer``, or the layer itself where ``target`` is not among the targets.

        Args:
            layer: base layer.
            target: its role, one of ``TARGETS``.
            stage: index of its stage.
            tasks: tasks that get an update of their own here.
            last: whether it is in the last block of its stage.
        """
        if target not in self.targets or (self.blocks == 'last' and not last):
            return layer
        task_rank, task_scale = of_stage(self.task_rank, stage), of_stage(self.task_scale, stage)
        ranks = [of_stage(self.rank, stage), *(task_rank.values() if isinstance(task_rank, Mapping) else [task_rank])]
        if any(not isinstance(rank, int) or rank < 0 for rank in ranks):
            raise ValueError(f'Ranks of adapters are integers from 0 (none) on; found {ranks} in stage {stage}.')
        adapted = MTLoRALinear(
            layer,
            rank=of_stage(self.rank, stage),
            task_ranks={t: task_rank[t] if isinstance(task_rank, Mapping) else task_rank for t in tasks},
            scale=of_stage(self.scale, stage),
            task_scales=task_scale,
            dropout=of_stage(self.dropout, stage),
            **self.options,
        )
        return adapted if adapted.adapter_parameters() else layer


def of_stage(value, stage: int):
    """``value`` itself, or its entry for ``stage`` if it is a list of one value a stage."""
    if isinstance(value, Sequence):
        if stage >= len(value):
            raise ValueError(f'An adapter option lists {len(value)} values, but the backbone has a stage {stage}.')
        return value[stage]
    return value
