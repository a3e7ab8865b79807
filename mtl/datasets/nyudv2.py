"""NYUD-v2 with the labels of the multi-task literature."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.files import class_ids, mask, normalised, one_channel, read_map, unit_normals, visible
from mtl.registry import DATASETS

# suffixes that circulate, by kind of file; the first that a folder holds is that of all its files
SUFFIXES = {
    'images': ('.jpg', '.png'),
    'depth': ('.npy', '.png'),
    'normals': ('.npy', '.png'),
    'edge': ('.npy', '.png'),
}
DEPTH_STEP = 0.001  # metres per step of a PNG


@DATASETS.register_module()
class NYUDv2(MultiTaskDataset):
    """795 training and 654 validation images of rooms; tasks semseg (40 classes), depth, normals, edge.

    Editions that circulate (of MTI-Net, of ATRC, the archive's own PNG files) differ in their kinds of files. Which
    kind a folder holds is told for images, depth, normals and boundaries separately.

    Args: see :class:`MultiTaskDataset`.
    """

    splits = {'train': 'gt_sets/train.txt', 'val': 'gt_sets/val.txt'}  # noqa: RUF012
    stand_in = 'python tools/make_mini_scenes.py nyud data/NYUD_MT --num-train 8 --num-val 4'
    layout = """NYUD_MT/
    gt_sets/{train,val}.txt     image ids
    images/<id>                 .jpg or .png
    segmentation/<id>.png       0 unlabelled, 1 to 40
    depth/<id>                  .npy: metres, or .png: 16 bits, millimetres
    normals/<id>                .npy, or .png: n = 2 v / 255 - 1
    edge/<id>                   .npy: 0 to 1, or .png: 0 to 255"""

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
    def suffixes(self) -> dict[str, str]:
        """Suffix of each kind of file: the first of :data:`SUFFIXES` that its folder holds."""
        return {
            kind: next((end for end in ends if any(visible((self.root / kind).glob(f'*{end}')))), ends[0])
            for kind, ends in SUFFIXES.items()
        }

    def image_path(self, sample_id: str) -> Path:
        return self.root / f'images/{sample_id}{self.suffixes["images"]}'

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        kind, suffix = ('segmentation', '.png') if name == 'semseg' else (name, self.suffixes[name])
        return [self.root / kind / f'{sample_id}{suffix}']

    def read_semseg(self, sample_id: str) -> np.ndarray | None:
        """Classes ``[H, W]`` uint8. The files count from 1 and 0 is unlabelled, so 0 wraps around to 255."""
        files = self.existing('semseg', sample_id)
        return class_ids(read_map(files[0])) - np.uint8(1) if files else None

    def read_depth(self, sample_id: str) -> np.ndarray | None:
        """Metres ``[H, W]`` float32, 0 where unknown."""
        files = self.existing('depth', sample_id)
        if not files:
            return None
        depth = one_channel(read_map(files[0]))
        if files[0].suffix == '.png':
            if depth.dtype == np.uint8:
                raise ValueError('depth in a PNG is of 16 bits, in millimetres; this one has 8 bits')
            depth = depth * DEPTH_STEP
        return np.where(np.isfinite(depth), depth, 0).astype(np.float32)

    def read_normals(self, sample_id: str) -> np.ndarray | None:
        """Unit vectors ``[H, W, 3]`` float32, zero where unknown."""
        files = self.existing('normals', sample_id)
        if not files:
            return None
        normals = read_map(files[0])
        return unit_normals(normals) if normals.dtype == np.uint8 else normalised(normals)

    def read_edge(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 on a boundary."""
        files = self.existing('edge', sample_id)
        if not files:
            return None
        return mask(read_map(files[0]))
