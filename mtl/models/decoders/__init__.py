"""Decoders: a pyramid of streams goes in, one feature map a task comes out."""

from mtl.models.decoders.hrnet import HRNetDecoder

__all__ = ['HRNetDecoder']
