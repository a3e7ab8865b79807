"""timm's Swin as a pyramid of streams, adapted from outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from timm.layers import PatchEmbed
from timm.models.swin_transformer import PatchMerging, SwinTransformer, SwinTransformerBlock, SwinTransformerStage
from torch import Tensor, nn

from mtl.checkpoints.pretrained import load_pretrained, pixel_statistics
from mtl.models.adapters import Placement, inject
from mtl.models.backbones.swin.merging_level import MergingLevel
from mtl.models.backbones.swin.task_stream_block import TaskStreamBlock
from mtl.models.backbones.swin.window_block import use_windowed_attention
from mtl.models.dense import Linear, Mlp
from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.sorting import importance_of_heads, importance_of_hidden
from mtl.models.slimmable.width import WidthConfig
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.recompute import recomputed
from mtl.protocols import AdaptableLayer, AdapterLayer, Backbone, Slimmable, adapter_parameters
from mtl.registry import MODELS
from mtl.structures import SHARED, BaseLevel, Level, PyramidFeatures

TRAINABLE = ('patch_embed', 'norms', 'relative_position_bias', 'reductions', 'biases')


@MODELS.register_module()
class SwinBackbone(Backbone, Slimmable):
    """Hierarchical Swin (Liu et al., ICCV 2021) with optional MTLoRA adapters.

    A level is taken after the patch merging that ends its stage (strides 8, 16, 32, 32), from the shared stream and,
    with task adapters, from one stream per task. Only the shared stream enters the next stage.

    Args:
        model: timm's name, e.g. ``'swin_tiny_patch4_window7_224'``.
        img_size: ``(H, W)`` the model is built for. It decides where windows shift (a stage no larger than a window
            does not shift); any other input size then runs with the same weights.
        pretrained, allow_random_init: see :func:`mtl.checkpoints.pretrained.load_pretrained`.
        adapters: config of a placement of adapters (:class:`mtl.models.adapters.MTLoRA`, ``Bottleneck``,
            ``TaskWeights``), or ``None`` for the bare backbone.
        trainable: what trains besides the adapters: ``'all'``, or any of ``patch_embed norms relative_position_bias
            reductions biases``. A reduction that carries an adapter stays frozen.
        checkpoint_blocks: keep only the input of each block in training and run the block again in the backward pass:
            less memory for a third more time.
        tasks: names of the tasks; the model fills it in.
        overrides: further arguments of timm's model, e.g. ``embed_dim``, ``depths``, ``num_heads``,
            ``drop_path_rate``.

    Attributes:
        channels: channels of each level.
        strides: input pixels a feature pixel, each level.
        size_divisor: input sizes must be multiples of it.
        pixel_mean, pixel_std: of the RGB values in 0..255 that the weights of timm were trained with.
    """

    def __init__(
        self,
        model: str = 'swin_tiny_patch4_window7_224',
        img_size: int | Sequence[int] = (448, 448),
        pretrained: bool | str | None = True,
        allow_random_init: bool = False,
        adapters: dict | Placement | None = None,
        trainable: str | Sequence[str] = 'all',
        checkpoint_blocks: bool = False,
        tasks: Sequence[str] = (),
        **overrides: Any,
    ) -> None:
        super().__init__()
        import timm

        size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        swin = timm.create_model(
            model, pretrained=False, num_classes=0, img_size=size, strict_img_size=False, **overrides
        )
        if not isinstance(swin, SwinTransformer):
            raise ValueError(
                f"SwinBackbone takes timm's Swin transformers of the first kind; {model!r} is a {type(swin).__name__}. "
                'TimmBackbone takes any network.'
            )
        self.swin = swin
        for name in ('norm', 'head'):
            self.swin.add_module(name, nn.Identity())  # no level passes them
        load_pretrained(self.swin, pretrained, model, allow_random_init)
        self.pixel_mean, self.pixel_std = pixel_statistics(self.swin)

        stages = self._stages()
        dims = [next(blocks_of(stage)).dim for stage in stages]
        merged = [min(i + 1, len(stages) - 1) for i in range(len(stages))]  # stage whose merging ends stage i
        self.channels = tuple(dims[i] for i in merged)
        assert isinstance(swin.patch_embed, PatchEmbed)
        self.strides = tuple(swin.patch_embed.patch_size[0] * 2**i for i in merged)
        self.size_divisor = math.lcm(*self.strides)
        self.tasks = tuple(tasks)
        self.checkpoint_blocks = checkpoint_blocks

        for stage in stages:
            blocks = list(blocks_of(stage))
            for block in blocks:
                block.add_module('mlp', Mlp(block.mlp))
                for parent, name in ((block.attn, 'qkv'), (block.attn, 'proj'), (block.mlp, 'fc1'), (block.mlp, 'fc2')):
                    setattr(parent, name, Linear(getattr(parent, name)))
            if not isinstance(stage.downsample, nn.Identity):
                stage.downsample.reduction = Linear(stage.downsample.reduction)
            stage.blocks[-1] = TaskStreamBlock(blocks[-1])
        use_windowed_attention(self.swin)
        inject(self, adapters, self.tasks)
        self._set_trainable(trainable)

    def adaptable_layers(self) -> Iterator[AdaptableLayer]:
        """See :class:`Backbone`: streams may begin in the last block of a stage, from its projection on."""
        for index, stage in enumerate(self._stages()):
            for block, swin in zip(stage.blocks, blocks_of(stage), strict=True):
                last = isinstance(block, TaskStreamBlock)
                yield AdaptableLayer(swin.attn, 'qkv', 'qkv', index, last=last)
                yield AdaptableLayer(block if last else swin.attn, 'proj', 'proj', index, last, last)
                yield AdaptableLayer(swin.mlp, 'fc1', 'fc1', index, last, last)
                yield AdaptableLayer(swin.mlp, 'fc2', 'fc2', index, last, last)
            if not isinstance(stage.downsample, nn.Identity):
                # merging belongs to the stage it ends, one before timm's
                yield AdaptableLayer(stage.downsample, 'reduction', 'reduction', index - 1)

    def _set_trainable(self, trainable: str | Sequence[str]) -> None:
        if trainable != 'all':
            unknown = [group for group in trainable if group not in TRAINABLE]
            if isinstance(trainable, str) or unknown:
                raise ValueError(f"trainable must be 'all' or a list from {', '.join(TRAINABLE)}; found {trainable!r}.")
        self.requires_grad_(trainable == 'all')
        for group, module, parameter in self._groups():
            if trainable != 'all' and group in trainable:
                parameter.requires_grad_(not (group == 'reductions' and isinstance(module, AdapterLayer)))
        for parameter in adapter_parameters(self):
            parameter.requires_grad_(True)

    def _groups(self) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
        """``(group, module, parameter)`` for every parameter that a ``trainable`` group names."""
        for parameter in self.swin.patch_embed.parameters():
            yield 'patch_embed', self.swin.patch_embed, parameter
        for name, module in self.named_modules():
            for key, parameter in module.named_parameters(recurse=False):
                if isinstance(module, nn.LayerNorm):
                    yield 'norms', module, parameter
                if key == 'relative_position_bias_table':
                    yield 'relative_position_bias', module, parameter
                if name.endswith('downsample.reduction') and key == 'weight':
                    yield 'reductions', module, parameter
                if key == 'bias':
                    yield 'biases', module, parameter

    def _run(self, block: nn.Module, *arguments: object) -> Any:
        """A block, with what it computes in between recomputed in the backward pass if so configured."""
        return recomputed(block, *arguments) if self.checkpoint_blocks and self.training else block(*arguments)

    def forward(self, x: Tensor, tasks: Sequence[str] | None = None) -> PyramidFeatures:
        """Features of ``x``.

        Args:
            x: ``[B, 3, H, W]``, ``H`` and ``W`` multiples of ``size_divisor``.
            tasks: run the streams of these tasks only; ``None`` for all. With ``'shared'`` among them the last shared
                stream is computed even where no task reads it.
        """
        if x.shape[-2] % self.size_divisor or x.shape[-1] % self.size_divisor:
            raise ValueError(
                f'The input must have sides that are multiples of {self.size_divisor}; found {tuple(x.shape[-2:])}. '
                'MultiTaskModel pads by itself; pad before calling the backbone alone.'
            )
        tasks = self.tasks if tasks is None else tuple(tasks)
        x = self.swin.patch_embed(x)
        levels, stages = [], self._stages()
        for stage, following in zip(stages, [*stages[1:], None], strict=True):
            *blocks, last = stage.blocks
            assert isinstance(last, TaskStreamBlock)
            for block in blocks:
                x = self._run(block, x)
            own = last.parts.own_tasks(self.tasks, tasks)
            # the last shared stream is read only by tasks that have none of their own
            keep_shared = following is not None or not own or not set(tasks) <= set(own)
            x, streams = self._run(last, x, own, keep_shared)
            if following is not None:
                x = following.downsample(x)
            levels.append(_level(x, streams, own, None if following is None else following.downsample))
        return PyramidFeatures(tuple(levels), self.strides)

    # ---- width ----------------------------------------------------------------------------------------------------

    def width_table(self, multiple: int = 8) -> WidthTable:
        """What slims: attention heads and hidden units of the MLP of every block, by the ratio of its stage.

        The residual width stays, so features of all widths have one shape. A head keeps its ``head_dim``.

        Args:
            multiple: hidden units are rounded to multiples of it.
        """
        table = WidthTable()
        for stage, index, block, prefix, proj, proj_name in self._blocks():
            attention, fc1, fc2 = block.attn, block.mlp.fc1, block.mlp.fc2
            assert isinstance(fc1, nn.Linear)
            assert isinstance(fc2, nn.Linear)
            heads = WidthGroup(stage, f'stage{stage}.block{index}.heads', attention.num_heads)
            head_dim = attention.qkv.out_features // 3 // attention.num_heads
            table.add_linear(f'{prefix}.attn.qkv', attention.qkv, out=Units(heads, head_dim, blocks=3))
            table.add_linear(proj_name, proj, into=Units(heads, head_dim))
            table.add_tensor(f'{prefix}.attn.relative_position_bias_table', {1: Units(heads)})
            table.settings[f'{prefix}.attn.num_heads'] = heads.length
            hidden = WidthGroup(stage, f'stage{stage}.block{index}.hidden', fc1.out_features, multiple)
            table.add_linear(f'{prefix}.mlp.fc1', fc1, out=Units(hidden))
            table.add_linear(f'{prefix}.mlp.fc2', fc2, into=Units(hidden))
            table.importance[heads] = partial(
                importance_of_heads, attention.qkv, proj, block.norm1, attention.num_heads
            )
            table.importance[hidden] = partial(importance_of_hidden, fc1, fc2, block.norm2)
        return table

    def width_options(self, width: WidthConfig, multiple: int = 8) -> dict:
        """Arguments that build this backbone as small as ``width``, see :meth:`width_table`."""
        options: dict = dict(num_heads=[], head_dim=[], mlp_ratio=[])
        for stage, index, block, *_ in self._blocks():
            if index == 0:
                heads, hidden = block.attn.num_heads, len(block.mlp.fc1.weight)
                units = WidthGroup(stage, 'hidden', hidden, multiple).length(width)
                options['num_heads'].append(WidthGroup(stage, 'heads', heads).length(width))
                options['head_dim'].append(block.attn.qkv.out_features // 3 // heads)
                options['mlp_ratio'].append(_ratio_that_gives(units, block.dim))
        return {key: tuple(values) for key, values in options.items()}

    def _stages(self) -> list[SwinTransformerStage]:
        return [stage for stage in self.swin.layers if isinstance(stage, SwinTransformerStage)]

    def _blocks(self) -> Iterator[tuple[int, int, SwinTransformerBlock, str, nn.Linear, str]]:
        """``(stage, index, timm's block, its name, its projection, name of that)`` for every block."""
        for stage, layer in enumerate(self._stages()):
            for index, (outer, block) in enumerate(zip(layer.blocks, blocks_of(layer), strict=True)):
                name = f'swin.layers.{stage}.blocks.{index}'
                if isinstance(outer, TaskStreamBlock):
                    yield stage, index, block, f'{name}.block', outer.proj, f'{name}.proj'
                else:
                    yield stage, index, block, name, block.attn.proj, f'{name}.attn.proj'


def blocks_of(stage: SwinTransformerStage) -> Iterator[SwinTransformerBlock]:
    """timm's blocks of a stage, with that in its :class:`TaskStreamBlock`."""
    for block in stage.blocks:
        swin = block.block if isinstance(block, TaskStreamBlock) else block
        assert isinstance(swin, SwinTransformerBlock)
        yield swin


def _ratio_that_gives(units: int, dim: int) -> float:
    """The number with ``int(dim * ratio) == units``: timm rounds down, and a quotient may fall just below."""
    ratio = units / dim
    return ratio if int(dim * ratio) == units else math.nextafter(ratio, math.inf)


def _level(
    x: Tensor | None, own: LowRankStreams | None, tasks: tuple[str, ...], merging: PatchMerging | None
) -> BaseLevel:
    """A level of the shared stream ``[B, H, W, C]``, merged, and the tasks' ``[T, B, H, W, C]``, not merged yet."""
    if x is None:
        assert own is not None
        return Level(own.dense().permute(0, 1, 4, 2, 3), tasks)
    if own is None:
        return Level(x.permute(0, 3, 1, 2)[None])
    if merging is not None:
        return MergingLevel(x.permute(0, 3, 1, 2), own, tasks, merging)
    return Level(torch.cat([x[None], own.dense()]).permute(0, 1, 4, 2, 3), (SHARED, *tasks))
