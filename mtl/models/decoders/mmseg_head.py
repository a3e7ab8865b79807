"""Decode heads of mmsegmentation as decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from mtl.models.containers import ModuleDict
from mtl.protocols import Decoder, DecoderInput, DecoderOutput
from mtl.registry import MODELS

if TYPE_CHECKING:  # takes seconds
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead


@MODELS.register_module()
class MMSegDecoder(Decoder):
    """One decode head of mmsegmentation a task, up to where it would classify each pixel.

    A head of mmsegmentation ends with ``cls_seg``, dropout and a 1x1 convolution to classes. Here the convolution is
    taken out: what enters it is the task's map, and the model's own head of the task follows. Any head that derives
    from ``BaseDecodeHead`` and gives one map in one pass will do; those that classify masks or queries (Mask2Former,
    Segmenter) or refine the output of another head (OCR, PointRend) are refused. Losses and metrics of the head are not
    used: they are the task's.

    In a config::

        decoder = dict(
            type='MMSegDecoder',
            head=dict(type='mmseg.UPerHead', channels=256, norm_cfg=dict(type='BN')),
            by_task=dict(edge=dict(type='mmseg.FPNHead', channels=64, feature_strides=[8, 16, 32, 32])),
        )

    Args:
        in_channels: channels of the pyramid's levels (the model fills it in).
        tasks: names of the tasks (the model fills it in).
        head: config of the head. ``in_channels`` and ``num_classes`` are filled in; ``in_index`` is every level unless
            it is given: heads that read one level need it, as a number. With ``init_cfg``, the head's
            ``init_weights`` is called.
        by_task: configs of other heads, by task.

    Attributes:
        out_channels: channels of the map by task.

    Raises:
        ValueError: a head that cannot serve, or a task in ``by_task`` that does not exist.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        tasks: Sequence[str],
        head: Mapping | None = None,
        by_task: Mapping[str, Mapping] | None = None,
    ) -> None:
        super().__init__()
        by_task = dict(by_task or {})
        unknown = sorted(set(by_task) - set(tasks))
        if unknown:
            raise ValueError(f'by_task names {", ".join(unknown)}; the tasks are {", ".join(tasks)}.')
        heads = by_task if head is None else {**dict.fromkeys(tasks, head), **by_task}
        missing = [task for task in tasks if task not in heads]
        if missing:
            raise ValueError(f'MMSegDecoder has no head for {", ".join(missing)}: give `head`, or add to `by_task`.')
        self.decoders = ModuleDict({task: _build(heads[task], in_channels) for task in tasks})
        self.out_channels = {task: decoder.channels for task, decoder in self.decoders.items()}

    def forward(self, features: DecoderInput, tasks: Sequence[str]) -> DecoderOutput:
        """A map ``[B, channels, H, W]`` for each of ``tasks``, at the resolution that its head gives."""
        return DecoderOutput({task: self._decode(task, features.of(task)) for task in tasks})

    def _decode(self, task: str, levels: list[Tensor]) -> Tensor:
        head = self.decoders[task]
        values = head(levels)
        if not isinstance(values, Tensor):
            raise ValueError(
                f'{type(head).__name__} gives {len(values)} outputs for {task} where one map is needed. Some heads '
                'have an option for that (EncHead: use_se_loss=False).'
            )
        return values


def _build(config: Mapping, in_channels: Sequence[int]) -> BaseDecodeHead:
    """The head without its classifier."""
    # importing all of mmsegmentation's models takes seconds: only where they are used
    from mmseg.models.decode_heads.cascade_decode_head import BaseCascadeDecodeHead
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    config = dict(config)
    if str(config['type']).startswith('mmseg.'):
        config.setdefault('_scope_', 'mmseg')  # what a head builds in turn is looked for in mmsegmentation, too
    index = config.setdefault('in_index', list(range(len(in_channels))))
    config.setdefault('in_channels', in_channels[index] if isinstance(index, int) else [in_channels[i] for i in index])
    # of the classifier that is taken out and of a loss that is not used; what they default to warns
    config.setdefault('num_classes', config.get('channels', 1))
    config.setdefault('loss_decode', dict(type='mmseg.CrossEntropyLoss', avg_non_ignore=True))
    try:
        head = MODELS.build(config)
    except AssertionError as error:  # mmsegmentation asserts, without a word, how many levels a head reads
        raise ValueError(
            f'{config["type"]} cannot be built for the levels in_index={index} with {config["in_channels"]} channels. '
            'A head that reads a single level needs in_index as a number, e.g. in_index=2; one that reads several may '
            "need input_transform='resize_concat' or 'multiple_select', FPNHead one entry of feature_strides per level."
        ) from error
    serves = isinstance(head, BaseDecodeHead) and not isinstance(head, BaseCascadeDecodeHead)
    if not serves or getattr(head, 'conv_seg', None) is None:
        raise ValueError(
            f'{config["type"]} cannot serve as a decoder: it has no 1x1 classifier over one map of features. Take a '
            'head that derives from BaseDecodeHead and gives one map in one pass, e.g. FPNHead or UPerHead.'
        )
    if 'init_cfg' in config:
        head.init_weights()
    head.conv_seg = nn.Identity()
    return head
