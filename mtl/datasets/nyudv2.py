"""NYUD-v2 with the labels of the multi-task literature."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.datasets.files import normalised, read_map, unit_normals
from mtl.registry import DATASETS

# suffix of each kind of file in the two editions that circulate, named after the public code they came with
EDITIONS = {
    'mti': {'images': '.jpg', 'normals': '.npy', 'edge': '.npy'},
    'atrc': {'images': '.png', 'normals': '.png', 'edge': '.png'},
}


@DATASETS.register_module()
class NYUDv2(MultiTaskDataset):
    """795 training and 654 validation images of rooms; tasks semseg (40 classes), depth, normals, edge.

    Two editions circulate, of MTI-Net and of ATRC. They differ in their kinds of files, and are told apart by them.

    Args: see :class:`MultiTaskDataset`.
    """

    splits = {'train': 'gt_sets/train.txt', 'val': 'gt_sets/val.txt'}  # noqa: RUF012
    stand_in = 'python tools/make_mini_scenes.py nyud data/NYUD_MT --num-train 8 --num-val 4'
    layout = """NYUD_MT/                        two editions:   MTI-Net     ATRC
    gt_sets/{train,val}.txt     image ids
    images/<id>                                 .jpg        .png
    segmentation/<id>.png
    depth/<id>.npy              metres
    normals/<id>                                .npy        .png
    edge/<id>                                   .npy        .png"""

    label_tasks = {  # noqa: RUF012
        'semseg': dict(type='SemanticSegmentation', classes='nyud_40'),
        'depth': dict(type='Depth'),
        'normals': dict(type='SurfaceNormals'),
        'edge': dict(type='Boundary'),
    }

    @property
    def readers(self):
        return {
            'semseg': self.read_semseg,
            'depth': self.read_depth,
            'normals': self.read_normals,
            'edge': self.read_edge,
        }

    @cached_property
    def edition(self) -> str:
        """``'atrc'`` where the images are PNG files, else ``'mti'``."""
        return 'atrc' if any((self.root / 'images').glob('*.png')) else 'mti'

    def image_path(self, sample_id: str) -> Path:
        return self.root / f'images/{sample_id}{EDITIONS[self.edition]["images"]}'

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        suffixes = EDITIONS[self.edition]
        files = {
            'semseg': f'segmentation/{sample_id}.png',
            'depth': f'depth/{sample_id}.npy',
            'normals': f'normals/{sample_id}{suffixes["normals"]}',
            'edge': f'edge/{sample_id}{suffixes["edge"]}',
        }
        return [self.root / files[name]]

    def read_semseg(self, sample_id: str) -> np.ndarray | None:
        """Classes ``[H, W]`` uint8. The files count from 1 and 0 is unlabelled, so 0 wraps around to 255."""
        files = self.existing('semseg', sample_id)
        return read_map(files[0]).astype(np.uint8) - np.uint8(1) if files else None

    def read_depth(self, sample_id: str) -> np.ndarray | None:
        """Metres ``[H, W]`` float32, 0 where unknown."""
        files = self.existing('depth', sample_id)
        if not files:
            return None
        depth = np.load(files[0])
        return np.nan_to_num(depth, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32).reshape(depth.shape[:2])

    def read_normals(self, sample_id: str) -> np.ndarray | None:
        """Unit vectors ``[H, W, 3]`` float32, zero where unknown."""
        files = self.existing('normals', sample_id)
        if not files:
            return None
        return normalised(np.load(files[0])) if files[0].suffix == '.npy' else unit_normals(read_map(files[0]))

    def read_edge(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 on a boundary."""
        files = self.existing('edge', sample_id)
        if not files:
            return None
        edge = np.load(files[0]) if files[0].suffix == '.npy' else read_map(files[0]) / 255
        return (edge > 0.5).astype(np.uint8).reshape(edge.shape[:2])
