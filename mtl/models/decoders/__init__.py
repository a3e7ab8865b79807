"""Decoders: a pyramid of streams goes in, one feature map per task comes out."""

from mtl.models.decoders.hrnet import HRNetDecoder
from mtl.models.decoders.mmseg_head import MMSegDecoder
from mtl.models.decoders.task_expert import TaskExpertDecoder

__all__ = ['HRNetDecoder', 'MMSegDecoder', 'TaskExpertDecoder']
