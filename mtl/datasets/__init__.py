"""Where samples come from."""

from mtl.datasets.base import MultiTaskDataset, SampleError
from mtl.datasets.ccp import ClothingCoParsing
from mtl.datasets.folder import FolderDataset
from mtl.datasets.nyudv2 import NYUDv2
from mtl.datasets.pascal_context import PASCALContext
from mtl.datasets.seeding import seed_worker

__all__ = [
    'ClothingCoParsing',
    'FolderDataset',
    'MultiTaskDataset',
    'NYUDv2',
    'PASCALContext',
    'SampleError',
    'seed_worker',
]
