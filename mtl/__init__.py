"""mtl: one network, many dense maps, under a budget."""

from mtl import _torchvision

_torchvision.make_importable_when_asked_for()  # which timm does

__version__ = '0.1.0'
