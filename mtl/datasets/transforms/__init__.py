"""From a sample's meta data to tensors: reading, moving, packing."""

from mtl.datasets.transforms.formatting import Pack
from mtl.datasets.transforms.geometry import RandomFlip, RandomRotateScale, RandomScaleCrop, Resize, ResizeShortSide
from mtl.datasets.transforms.loading import LoadImage, LoadLabels

__all__ = [
    'LoadImage',
    'LoadLabels',
    'Pack',
    'RandomFlip',
    'RandomRotateScale',
    'RandomScaleCrop',
    'Resize',
    'ResizeShortSide',
]
