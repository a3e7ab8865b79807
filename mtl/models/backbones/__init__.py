"""Backbones: an image goes in, a pyramid of streams comes out."""

from mtl.models.backbones.swin import SwinBackbone
from mtl.models.backbones.timm_backbone import TimmBackbone

__all__ = ['SwinBackbone', 'TimmBackbone']
