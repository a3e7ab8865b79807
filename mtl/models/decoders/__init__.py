"""Decoders: a pyramid of streams goes in, one feature map a task comes out."""

from mtl.models.decoders.base import Decoder, DecoderInput, DecoderOutput, Projection
from mtl.models.decoders.hrnet import HRNetDecoder
from mtl.models.decoders.mmseg_head import MMSegDecoder
from mtl.models.decoders.task_expert import TaskExpertDecoder

__all__ = [
    'Decoder',
    'DecoderInput',
    'DecoderOutput',
    'HRNetDecoder',
    'MMSegDecoder',
    'Projection',
    'TaskExpertDecoder',
]
