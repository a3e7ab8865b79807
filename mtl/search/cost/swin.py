"""Closed form of the Swin backbone, with or without MTLoRA's task streams."""

from __future__ import annotations

from torch import nn

from mtl.models.backbones.swin.backbone import SwinBackbone
from mtl.models.backbones.swin.task_stream_block import TaskStreamBlock
from mtl.search.cost.levels import LevelCost
from mtl.search.cost.linear import (
    linear_macs,
    norm_and_project_macs,
    shared_and_base_macs,
    starts_streams,
    streams_macs,
)
from mtl.search.cost.shapes import Count, Shapes


class SwinCost:
    """Multiplications of a :class:`SwinBackbone` for one image.

    Args:
        backbone: at full width.
        size: ``(H, W)`` of the input, multiples of its ``size_divisor``.
        tasks: those that run.
        reads_shared: whether the decoder needs every shared stream, also the last.

    Attributes:
        levels: the pyramid's levels.
    """

    def __init__(
        self, backbone: SwinBackbone, size: tuple[int, int], tasks: tuple[str, ...], reads_shared: bool = False
    ) -> None:
        self.backbone, self.size, self.tasks = backbone, size, tasks
        stages = list(backbone.swin.layers)
        patch = backbone.swin.patch_embed.patch_size
        finest = (size[0] // patch[0], size[1] // patch[1])
        self.sizes = [(finest[0] >> index, finest[1] >> index) for index in range(len(stages))]
        self.own = [streams_of(stage.blocks[-1], tasks) for stage in stages]
        last_is_read = reads_shared or not self.own[-1] or not set(tasks) <= set(self.own[-1])
        self.keeps_shared = [True] * (len(stages) - 1) + [last_is_read]
        self.levels = tuple(
            LevelCost(
                self.sizes[min(index + 1, len(stages) - 1)],
                backbone.channels[index],
                self.own[index],
                stages[index + 1].downsample if self.own[index] and index + 1 < len(stages) else None,
                _rank(stages[index].blocks[-1], self.own[index]),
            )
            for index in range(len(stages))
        )

    def macs(self, shapes: Shapes) -> Count:
        """Multiplications of the backbone, without what a decoder's projection of a level costs.

        Args:
            shapes: of the parameters of the model, where the backbone is called ``backbone``.
        """
        embed = self.backbone.swin.patch_embed.proj
        kernel = embed.in_channels * embed.kernel_size[0] * embed.kernel_size[1]
        total = self.sizes[0][0] * self.sizes[0][1] * kernel * embed.out_channels
        for index, stage in enumerate(self.backbone.swin.layers):
            if not isinstance(stage.downsample, nn.Identity):
                reduction, (height, width) = stage.downsample.reduction, self.sizes[index]
                total = total + linear_macs(reduction, height * width, reduction.in_features, reduction.out_features)
            for number, block in enumerate(stage.blocks):
                total = total + self._block(block, f'backbone.swin.layers.{index}.blocks.{number}', index, shapes)
        return total

    def _block(self, block: nn.Module, name: str, index: int, shapes: Shapes) -> Count:
        ends_stage = isinstance(block, TaskStreamBlock)
        swin, name_of_swin = (block.block, f'{name}.block') if ends_stage else (block, name)
        attention, mlp, (height, width) = swin.attn, swin.mlp, self.sizes[index]
        channels = attention.dim
        inner = shapes.length(f'{name_of_swin}.attn.qkv.weight', 0) // 3
        hidden = shapes.length(f'{name_of_swin}.mlp.fc1.weight', 0)
        window, rows = swin.window_size, height * width
        in_windows = -(-height // window[0]) * window[0] * -(-width // window[1]) * window[1]  # rows with the padding

        total = linear_macs(attention.qkv, in_windows, channels, 3 * inner)
        total = total + 2 * in_windows * window[0] * window[1] * inner
        if not ends_stage:
            total = total + linear_macs(attention.proj, in_windows, inner, channels)
            return total + linear_macs(mlp.fc1, rows, channels, hidden) + linear_macs(mlp.fc2, rows, hidden, channels)
        if block.differs_by_low_rank(self.own[index]):
            return total + self._low_rank(block, index, rows, inner, hidden)
        own, begun = self.own[index], False
        for layer, n_in, n_out, keep_shared in (
            (block.proj, inner, channels, True),
            (mlp.fc1, channels, hidden, True),
            (mlp.fc2, hidden, channels, self.keeps_shared[index]),
        ):
            total = total + streams_macs(layer, rows, n_in, n_out, own, begun, keep_shared)
            begun = begun or starts_streams(layer, own)
        return total

    def _low_rank(self, block: TaskStreamBlock, index: int, rows: int, inner: Count, hidden: Count) -> Count:
        """What follows the attention in a block whose task streams differ from the shared one by low rank."""
        mlp, own, channels, level = block.block.mlp, self.own[index], block.block.attn.dim, self.levels[index]
        of_proj, of_fc1, of_fc2 = (_largest_rank(layer, own) for layer in (block.proj, mlp.fc1, mlp.fc2))
        total = shared_and_base_macs(block.proj, rows, inner, channels, keep_shared=True)
        total = total + shared_and_base_macs(mlp.fc1, rows, channels, hidden, keep_shared=True)
        total = total + shared_and_base_macs(mlp.fc2, rows, hidden, channels, self.keeps_shared[index])
        total = total + len(own) * rows * (of_proj * inner + (of_fc1 + of_fc2) * hidden)
        total = total + norm_and_project_macs(len(own), rows, 1, channels, of_proj, of_fc1)
        if level.merging is None:  # nothing follows that would take the streams as they are
            total = total + len(own) * rows * level.rank * channels
        return total


def _largest_rank(layer: nn.Module, tasks: tuple[str, ...]) -> int:
    """To which the factors of the other tasks are padded."""
    return max(layer.tasks[task].rank for task in tasks)


def _rank(block: TaskStreamBlock, own: tuple[str, ...]) -> int:
    """In which the task streams that leave the block differ."""
    if not block.differs_by_low_rank(own):
        return 0
    return _largest_rank(block.proj, own) + _largest_rank(block.block.mlp.fc2, own)


def streams_of(block: TaskStreamBlock, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Which of ``tasks`` have a stream of their own in a network that has no other tasks."""
    layers = list(block.modules())
    return tuple(task for task in tasks if any(starts_streams(layer, (task,)) for layer in layers))
