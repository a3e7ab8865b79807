"""What slims in a TaskExpert decoder."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from mtl.models.containers import ModuleDict, ModuleList
from mtl.models.decoders.task_expert.experts import Experts
from mtl.models.decoders.task_expert.gates import Gate
from mtl.models.decoders.task_expert.memory import MemoryAccess
from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import ScaledGroup, WidthGroup
from mtl.models.slimmable.width import WidthError


class Slimming(Protocol):
    """What of a :class:`mtl.models.decoders.TaskExpertDecoder` slims."""

    channels: int
    task_channels: dict[str, int]
    projections: ModuleList[nn.Linear]
    norms: ModuleList[nn.LayerNorm]
    experts: ModuleList[Experts]
    gates: ModuleList[ModuleDict[Gate]]
    entries: ModuleList[ModuleDict[nn.Linear]] | None
    memory: ModuleList[MemoryAccess] | None
    first: nn.Linear
    norm: nn.LayerNorm

    def hidden(self, channels: int) -> int: ...


def width_table(decoder: Slimming, multiple: int) -> WidthTable:
    """Gates, embedding and map of a task by its ratio; everything the tasks share up to the widest of them.

    Inside that, the decoder uses prefixes of each task's own width (:attr:`TaskExpertDecoder.task_channels`).

    Args:
        decoder: what slims.
        multiple: channels are rounded to multiples of it, and hidden units of the experts follow.

    Raises:
        WidthError: its tasks differ in width already.
    """
    tasks = tuple(decoder.task_channels)
    if set(decoder.task_channels.values()) != {decoder.channels}:
        raise WidthError(
            f'A TaskExpertDecoder slims if all its tasks have all {decoder.channels} channels; found task_channels '
            f'{decoder.task_channels}.'
        )
    table = WidthTable()
    shared = WidthGroup(tasks, 'channels', decoder.channels, multiple)
    hidden = ScaledGroup(tasks, 'hidden', decoder.hidden(decoder.channels), multiple, of=shared, scale=decoder.hidden)
    of_task = {task: WidthGroup(task, f'{task}.channels', decoder.channels, multiple) for task in tasks}
    D, h = Units(shared), Units(hidden)
    table.settings['task_channels'] = lambda width: {task: of_task[task].length(width) for task in width.decoder}
    table.outputs = {task: Units(group) for task, group in of_task.items()}

    table.add_norm('norm', decoder.norm, D)
    for level, (projection, norm) in enumerate(zip(decoder.projections, decoder.norms, strict=True)):
        table.add_linear(f'projections.{level}', projection, out=D)
        table.add_norm(f'norms.{level}', norm, D)
        for task, gate in decoder.gates[level].items():
            if gate.weight is not None:
                table.add_tensor(f'gates.{level}.{task}.weight', {2: Units(of_task[task])})
    for index in range(len(decoder.experts)):
        name = f'experts.{index}'
        table.add_tensor(f'{name}.expand_weight', {1: h, 2: D})
        table.add_tensor(f'{name}.reduce_weight', {1: D, 2: h})
        table.add_tensor(f'{name}.reduce_bias', {1: D})
        for key in ('expand_bias', 'depthwise_weight', 'depthwise_bias'):
            table.add_tensor(f'{name}.{key}', {1: h})
    if decoder.entries is not None:
        for level, entries in enumerate(decoder.entries):
            for task, entry in entries.items():
                of = Units(of_task[task])
                table.add_linear(f'entries.{level}.{task}', entry, out=of, into=of)
    if decoder.memory is not None:
        if decoder.entries is None:
            table.add_linear('first', decoder.first, out=D, into=D)
        for task, group in of_task.items():
            table.add_tensor(f'embeddings.{task}', {0: Units(group)})
        for level, access in enumerate(decoder.memory):
            name = f'memory.{level}'
            table.add_norm(f'{name}.norm', access.norm, D)
            table.add_tensor(f'{name}.read_weight', {0: D, 1: D})
            table.add_tensor(f'{name}.write_weight', {0: D, 2: D})
            table.add_tensor(f'{name}.gate_weight', {1: D})
            for key in ('read_bias', 'write_bias'):
                table.add_tensor(f'{name}.{key}', {0: D})
    return table
