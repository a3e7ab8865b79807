"""Where samples come from."""

from mtl.datasets.base import MultiTaskDataset, SampleError
from mtl.datasets.mini_scenes_dataset import MiniScenes
from mtl.datasets.pascal_context import PASCALContext
from mtl.datasets.seeding import seed_worker

__all__ = ['MiniScenes', 'MultiTaskDataset', 'PASCALContext', 'SampleError', 'seed_worker']
