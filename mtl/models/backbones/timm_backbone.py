"""Any network of timm as a pyramid of streams, adapted from outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.checkpoints.pretrained import load_pretrained, pixel_statistics
from mtl.checkpoints.swin_keys import Renamed
from mtl.models.adapters import Placement, inject
from mtl.models.backbones.timm_blocks import (
    call_adapted_qkv,
    family_of,
    keep_units,
    layers_with_roles,
    slimmable_blocks,
    stream_block,
)
from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.sorting import importance_of_heads, importance_of_hidden
from mtl.models.slimmable.width import WidthConfig
from mtl.ops.recompute import recomputed
from mtl.protocols import AdaptableLayer, Backbone, SlimLayer, Slimmable, adapter_parameters
from mtl.registry import MODELS
from mtl.structures import SHARED, Level, PyramidFeatures

if TYPE_CHECKING:
    from mtl.models.backbones.timm_blocks import TimmNetwork

Result = TypeVar('Result')

TRAINABLE = ('norms', 'biases')
LEVELS = 4


@MODELS.register_module()
class TimmBackbone(Backbone, Slimmable):
    """A convolutional network, a hierarchical or a plain transformer of timm, with optional adapters.

    The levels are what timm's ``forward_intermediates`` gives: stages of a pyramid, or blocks of a plain transformer
    (ViT), whose levels then all have one resolution. What comes after the last level is removed.

    Adapters that all tasks share go into any network, those of single tasks into the transformers of
    :mod:`mtl.models.backbones.timm_blocks` (ViT, DeiT, DINOv2, SigLIP, EVA-02, DINOv3, Swin v2): the streams of tasks
    begin in the last block of each level, and only the shared stream goes on. The parameters of the network keep the
    names that timm gives them.

    Attention heads and hidden units slim in timm's plain ViT blocks (ViT, DeiT, DINOv2, SigLIP). All other networks
    stay whole: their decoders slim alone.

    Plain transformers resample their position embedding to the input's size. A few networks of timm run on one size
    only (BEiT, Hiera); they are refused.

    Args:
        model: timm's name, e.g. ``'convnext_tiny'``, ``'resnet50'``, ``'vit_large_patch16_224'``.
        out_indices: the levels, counted as timm does: stages of a pyramid (where a stem counts, it is 0), blocks of a
            plain transformer. Default: the last four stages; the ends of the four quarters of the depth (as DPT,
            Ranftl et al., ICCV 2021, takes them for ViT-L).
        norm: pass each level of a plain transformer through its final norm.
        adapters: config of a placement of adapters (:class:`mtl.models.adapters.MTLoRA`, ``Bottleneck``,
            ``TaskWeights``), or ``None`` for the bare network. Roles: ``qkv`` (also apart), ``proj``, ``fc1``, ``fc2``
            (also gated), ``reduction`` (Swin v2), ``conv`` (convolutions without groups below timm's stages).
        pretrained, allow_random_init: see :func:`mtl.checkpoints.pretrained.load_pretrained`.
        trainable: what trains besides the adapters: ``'all'``, or any of ``norms biases``; an empty list freezes the
            backbone. A BatchNorm that does not train keeps its statistics, too.
        checkpoint_blocks: keep only the input of each block in training and run the block again in the backward pass:
            less memory for a third more time.
        heads, hidden: of a network that slims, attention heads and hidden units of the blocks of each level: the first
            ones are kept. All by default.
        tasks: names of the tasks; the model fills it in.
        overrides: further arguments of timm's model, e.g. ``drop_path_rate``, ``img_size``, ``depth``.

    Attributes:
        channels: channels of each level.
        strides: input pixels per feature pixel, each level.
        size_divisor: input sizes must be multiples of it.
        pixel_mean, pixel_std: of the RGB values in 0..255 that the weights of timm were trained with.

    Raises:
        ValueError: a network that runs on images of one size only, an unknown ``trainable``, or adapters for which it
            has no place.
    """

    def __init__(
        self,
        model: str,
        out_indices: Sequence[int] | None = None,
        norm: bool = False,
        adapters: dict | Placement | None = None,
        pretrained: bool | str | None = True,
        allow_random_init: bool = False,
        trainable: str | Sequence[str] = 'all',
        checkpoint_blocks: bool = False,
        heads: Sequence[int] | None = None,
        hidden: Sequence[int] | None = None,
        tasks: Sequence[str] = (),
        **overrides: Any,
    ) -> None:
        super().__init__()
        network = _create(model, overrides)
        load_pretrained(network, pretrained, model, allow_random_init, rename=partial(_without_classifier, network))
        self.pixel_mean, self.pixel_std = pixel_statistics(network)
        network.set_grad_checkpointing(checkpoint_blocks)

        stages = network.feature_info
        indices = _default_indices([stage['reduction'] for stage in stages]) if out_indices is None else out_indices
        self.out_indices = tuple(network.prune_intermediate_layers(list(indices), prune_norm=not norm))
        self.network, self.norm = network, norm
        self.channels = tuple(stages[i]['num_chs'] for i in self.out_indices)
        self.strides = tuple(stages[i]['reduction'] for i in self.out_indices)
        self.size_divisor = math.lcm(*self.strides)
        self.tasks, self.checkpoint_blocks = tuple(tasks), checkpoint_blocks
        self.has_streams = False
        self._check_any_size(model)
        for block in slimmable_blocks(network, self.out_indices):
            keep_units(
                block,
                block.attention.num_heads if heads is None else heads[block.level],
                block.fc1.out_features if hidden is None else hidden[block.level],
            )
        inject(self, adapters, self.tasks)
        call_adapted_qkv(network)
        self.has_streams = any(isinstance(layer, SlimLayer) and layer.tasks for layer in self.modules())
        self._set_trainable(trainable)

    @torch.no_grad()
    def _check_any_size(self, model: str) -> None:
        self.eval()
        try:
            self(torch.zeros(1, 3, self.size_divisor, 2 * self.size_divisor))
        except (AssertionError, RuntimeError) as error:
            raise ValueError(
                f'timm runs {model!r} on images of one size only ({error}). Choose a network that takes any size, e.g. '
                'a ViT, Swin, ConvNeXt or ResNet.'
            ) from error
        self.train()

    def _set_trainable(self, trainable: str | Sequence[str]) -> None:
        unknown = trainable != 'all' and (isinstance(trainable, str) or set(trainable) - set(TRAINABLE))
        if unknown:
            raise ValueError(f"trainable must be 'all' or a list from {', '.join(TRAINABLE)}; found {trainable!r}.")
        for module in self.modules():
            # norms of timm derive from torch's, or are at least called so (Norm2d, GroupNorm1, RmsNorm, ...)
            groups = {'norms'} if 'norm' in type(module).__name__.lower() else set()
            for key, parameter in module.named_parameters(recurse=False):
                names = groups | ({'biases'} if key == 'bias' else set())
                parameter.requires_grad_(trainable == 'all' or not names.isdisjoint(trainable))
        for parameter in adapter_parameters(self):
            parameter.requires_grad_(True)
        self.train(self.training)

    def adaptable_layers(self) -> Iterator[AdaptableLayer]:
        """See :class:`Backbone`."""
        return layers_with_roles(self.network, self.out_indices)

    # ---- width ----------------------------------------------------------------------------------------------------

    def width_table(self, multiple: int = 8) -> WidthTable:
        """What slims: attention heads and hidden units of every plain ViT block, by the ratio of its level.

        The residual width stays, so features of all widths have one shape. A head keeps its ``head_dim``.

        Args:
            multiple: hidden units are rounded to multiples of it.
        """
        table = WidthTable()
        for stage, index, name, block, attention, _, fc1, fc2 in slimmable_blocks(self.network, self.out_indices):
            prefix = f'network.{name}'
            heads = WidthGroup(stage, f'block{index}.heads', attention.num_heads)
            table.add_linear(f'{prefix}.attn.qkv', attention.qkv, out=Units(heads, attention.head_dim, blocks=3))
            table.add_linear(f'{prefix}.attn.proj', attention.proj, into=Units(heads, attention.head_dim))
            table.settings[f'{prefix}.attn.num_heads'] = heads.length
            table.settings[f'{prefix}.attn.attn_dim'] = partial(_numbers, heads, attention.head_dim)
            hidden = WidthGroup(stage, f'block{index}.hidden', fc1.out_features, multiple)
            table.add_linear(f'{prefix}.mlp.fc1', fc1, out=Units(hidden))
            table.add_linear(f'{prefix}.mlp.fc2', fc2, into=Units(hidden))
            table.importance[heads] = partial(
                importance_of_heads, attention.qkv, attention.proj, block.norm1, attention.num_heads
            )
            table.importance[hidden] = partial(importance_of_hidden, fc1, fc2, block.norm2)
        return table

    def width_options(self, width: WidthConfig, multiple: int = 8) -> dict:
        """Arguments that build this backbone as small as ``width``, see :meth:`width_table`."""
        heads, hidden = {}, {}
        for block in slimmable_blocks(self.network, self.out_indices):
            stage = block.level
            heads[stage] = WidthGroup(stage, 'heads', block.attention.num_heads).length(width)
            hidden[stage] = WidthGroup(stage, 'hidden', block.fc1.out_features, multiple).length(width)
        return dict(heads=tuple(heads.values()), hidden=tuple(hidden.values())) if heads else {}

    # ---- flow -----------------------------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> TimmBackbone:
        """As always, but a BatchNorm that does not train keeps its statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm) and not any(p.requires_grad for p in module.parameters()):
                module.eval()
        return self

    def forward(self, x: Tensor, tasks: Sequence[str] | None = None) -> PyramidFeatures:
        """See :class:`Backbone`."""
        if x.shape[-2] % self.size_divisor or x.shape[-1] % self.size_divisor:
            raise ValueError(
                f'The input must have sides that are multiples of {self.size_divisor}; found {tuple(x.shape[-2:])}. '
                'MultiTaskModel pads by itself; pad before calling the backbone alone.'
            )
        if self.has_streams:
            return PyramidFeatures(tuple(self._levels(x, self.tasks if tasks is None else tuple(tasks))), self.strides)
        levels = self.network.forward_intermediates(
            x, indices=list(self.out_indices), norm=self.norm, stop_early=True, intermediates_only=True
        )
        return PyramidFeatures(tuple(Level(level[None]) for level in levels), self.strides)

    def _levels(self, image: Tensor, tasks: tuple[str, ...]) -> Iterator[Level]:
        """The levels with the streams of ``tasks``, which leave in the last block of each."""
        family = family_of(self.network)
        assert family is not None
        x, options = family.embed(image)
        for index, (steps, option) in enumerate(zip(family.stages(), options, strict=True)):
            ends_level = index in self.out_indices
            for step in steps[: len(steps) - ends_level]:
                x = self._run(partial(step, **option), x)
            if ends_level:
                block = stream_block(steps[-1], option)
                own = block.own_tasks(self.tasks, tasks)
                # the last shared stream is read only by tasks that have none of their own
                keep_shared = index != self.out_indices[-1] or not own or not set(tasks) <= set(own)
                shared, streams = self._run(block.run, x, own, keep_shared)
                every = [*([] if shared is None else [shared[None]]), *([] if streams is None else [streams.dense()])]
                features = torch.cat(every)
                features = family.to_maps(family.normed(features, index) if self.norm else features, image)
                yield Level(features, (*([] if shared is None else [SHARED]), *own))
                if shared is None:
                    return
                x = shared

    def _run(self, function: Callable[..., Result], *arguments: object) -> Result:
        """``function``, computed again in the backward pass if so configured."""
        return recomputed(function, *arguments) if self.checkpoint_blocks and self.training else function(*arguments)


def _numbers(group: WidthGroup, of_each: int, width: WidthConfig) -> int:
    return group.length(width) * of_each


def _create(model: str, overrides: Mapping[str, Any]) -> TimmNetwork:
    """timm's model without a classifier, for images of any size where it has an option for that."""
    import timm

    create = cast('Callable[..., TimmNetwork]', partial(timm.create_model, model, pretrained=False, num_classes=0))
    try:
        return create(**{'dynamic_img_size': True, **overrides})
    except TypeError as error:  # networks that run on any size do not take `img_size`
        if 'dynamic_img_size' not in str(error):
            raise
    return create(**overrides)


def _default_indices(reductions: Sequence[int]) -> list[int]:
    count = len(reductions)
    if len(set(reductions)) == 1:
        return sorted({math.ceil(count * (i + 1) / LEVELS) - 1 for i in range(LEVELS)})
    return list(range(max(0, count - LEVELS), count))


def _without_classifier(network: TimmNetwork, state: Mapping[str, Tensor]) -> Renamed:
    """timm's names as they are, without the classifier that a file may hold."""
    named = (network.pretrained_cfg or {}).get('classifier') or ()
    classifiers = tuple(f'{name}.' for name in ((named,) if isinstance(named, str) else named))
    expected, renamed = network.state_dict(), Renamed()
    for key, value in state.items():
        if key not in expected and key.startswith(classifiers):
            renamed.dropped[key] = 'the classifier has no use in dense prediction'
        else:
            renamed.state[key] = value
    return renamed
