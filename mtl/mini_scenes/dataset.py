"""MiniScenes as a data set that makes itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtl.datasets.pascal_context import PASCALContext
from mtl.files import read_map
from mtl.mini_scenes.writing import ensure_pascal
from mtl.registry import DATASETS


@DATASETS.register_module()
class MiniScenes(PASCALContext):
    """Generated scenes in the layout of PASCAL-Context, plus depth; made on first use (docs/mini_scenes.md).

    Args:
        data_root: folder of the scenes; made if it is not there.
        num_train, num_val, size, seed, style, jobs: see :func:`mtl.mini_scenes.ensure_pascal`.
        fill_cache: the folder is ours, so labels are cached as they are first read.
        options: see :class:`mtl.datasets.MultiTaskDataset`.
    """

    label_tasks = {**PASCALContext.label_tasks, 'depth': dict(type='Depth')}  # noqa: RUF012

    def __init__(
        self,
        data_root: str | Path,
        num_train: int,
        num_val: int,
        size: Sequence[int],
        seed: int = 0,
        style: str = 'day',
        jobs: int = 2,
        fill_cache: bool = True,
        **options,
    ) -> None:
        ensure_pascal(data_root, num_train, num_val, tuple(size), seed, jobs=jobs, style=style)
        super().__init__(data_root, fill_cache=fill_cache, **options)

    @property
    def readers(self):
        return {**super().readers, 'depth': self.read_depth}

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        return [self.root / f'depth/{sample_id}.npy'] if name == 'depth' else super().label_files(name, sample_id)

    def read_depth(self, sample_id: str) -> np.ndarray | None:
        """Metres ``[H, W]`` float32."""
        files = self.existing('depth', sample_id)
        return read_map(files[0]) if files else None
