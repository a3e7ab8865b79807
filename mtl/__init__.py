"""mtl: one network, many dense maps, under a budget."""

import os

from mtl import _torchvision

# OpenMP's threads spin while they wait: two jobs on the same cores then take up to twenty times as long a step
os.environ.setdefault('GOMP_SPINCOUNT', '3000')  # read when torch is imported
_torchvision.make_importable_when_asked_for()  # which timm does

__version__ = '0.1.0'
