"""Decoders: a pyramid of streams goes in, one feature map a task comes out."""

from mtl.models.decoders.hrnet import HRNetDecoder
from mtl.models.decoders.mmseg_head import MMSegDecoder
from mtl.models.decoders.output import DecoderOutput

__all__ = ['DecoderOutput', 'HRNetDecoder', 'MMSegDecoder']
