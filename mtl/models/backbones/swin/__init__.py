"""timm's Swin, adapted from outside: task streams leave at the last block of each stage."""

from mtl.models.backbones.swin.backbone import SwinBackbone

__all__ = ['SwinBackbone']
