"""mtl: one network, many dense maps, under a budget."""

from mtl import _torchvision

_torchvision.make_importable()  # before anything imports timm

__version__ = '0.1.0'
