"""A data set of one's own, described by where its files lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.datasets.files import read_map, unit_normals
from mtl.registry import DATASETS
from mtl.tasks import Task, build_tasks

ID = '{id}'


@DATASETS.register_module()
class FolderDataset(MultiTaskDataset):
    """Images and labels whose paths differ in an id only.

    In a config::

        dict(
            type='FolderDataset',
            data_root='data/own',
            split='train',
            files=dict(
                image='images/{id}.jpg',
                semseg='masks/{id}.png',
                saliency=dict(path='salient/{id}.png', values={255: 1}),
                depth=dict(path='depth/{id}.png', scale=0.001),
            ),
            tasks=tasks,
        )

    A picture gives its numbers as they are (a palette image the indices), or unit vectors where it has three channels:
    ``n = 2 v / 255 - 1``, x right, y down, z towards the camera. ``.npy`` gives its array. A file that is missing is a
    label that is missing. What a label must hold is what its task says; a file that holds something else is named.

    Args:
        data_root: folder of the data set.
        files: path below ``data_root``, with ``{id}``, of the ``image`` and of each label; for a label also
            ``dict(path=..., values={stored: meant}, scale=...)``: ``values`` exchanges bytes (class ids from 1, say,
            or 255 for 1), ``scale`` multiplies (millimetres to metres: 0.001).
        tasks: ``{name: config}``; each learns from the label of its name, unless ``labels`` says otherwise. An empty
            one makes a data set of images without labels, to distil on.
        split: name of one of ``splits``; or the path of a text file with an id a line; or a pattern of ids with
            ``*``, for instance ``'train/*'``: every image that matches.
        splits: lists of ids by split, paths below ``data_root``.
        options: see :class:`MultiTaskDataset`.

    Raises:
        ValueError: no image, a path without ``{id}`` or with two, or a task whose label is not among the files.
    """

    def __init__(
        self,
        data_root: str | Path,
        files: Mapping[str, str | Mapping],
        tasks: Mapping[str, dict | Task],
        split: str = 'train',
        splits: Mapping[str, str] | None = None,
        **options,
    ) -> None:
        self.files = {name: dict(path=file) if isinstance(file, str) else dict(file) for name, file in files.items()}
        for name, file in self.files.items():
            unknown = set(file) - {'path', 'values', 'scale'}
            if unknown or file.get('path', '').count(ID) != 1:
                raise ValueError(
                    f'files[{name!r}] must be a path with {ID} once, or dict(path=..., values=..., scale=...); found '
                    f'{files[name]!r}.'
                )
        if 'image' not in self.files:
            raise ValueError("FolderDataset needs files['image'], e.g. 'images/{id}.jpg'.")
        self.splits = {'train': 'train.txt', 'val': 'val.txt'} if splits is None else dict(splits)
        self.layout = '\n'.join([f'{data_root}/', *(f'    {file["path"]}' for file in self.files.values())])
        tasks = build_tasks(tasks) if tasks else {}
        labels = {name: task.source or name for name, task in tasks.items()} | dict(options.get('labels') or {})
        # every label is what its task takes it for: nobody else says so
        self.label_tasks = {labels[name]: task for name, task in tasks.items() if labels[name] in self.files}
        super().__init__(data_root, tasks=tasks, split=split, **options)

    @property
    def readers(self) -> dict[str, Callable[[str], np.ndarray | None]]:
        return {name: partial(self.read_file, name) for name in self.files if name != 'image'}

    def find_ids(self) -> list[str]:
        """The ids of the split: those of its list, or of the images that match its pattern, in order.

        Raises:
            FileNotFoundError: no list, or no image.
        """
        if '*' not in self.split:
            return super().find_ids()
        before, after = self.files['image']['path'].split(ID)
        paths = (path.relative_to(self.root).as_posix() for path in self.root.glob(f'{before}{self.split}{after}'))
        ids = sorted(path[len(before) : len(path) - len(after)] for path in paths)
        if not ids:
            raise FileNotFoundError(
                f'FolderDataset: no image matches {self.root.absolute() / before}{self.split}{after}. Expected '
                f'layout:\n\n{self.layout}'
            )
        return ids

    def image_path(self, sample_id: str) -> Path:
        return self.root / self.files['image']['path'].replace(ID, sample_id)

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        return [self.root / self.files[name]['path'].replace(ID, sample_id)]

    def read_file(self, name: str, sample_id: str) -> np.ndarray | None:
        """The label ``name`` of a sample, ``[H, W]`` uint8 or float32, or ``[H, W, 3]`` float32."""
        path = next(iter(self.existing(name, sample_id)), None)
        if path is None:
            return None
        label = np.load(path) if path.suffix == '.npy' else read_map(path)
        label = label.reshape(label.shape[:2]) if label.ndim == 3 and label.shape[2] == 1 else label
        file = self.files[name]
        if 'values' in file:
            lookup = np.arange(256, dtype=np.uint8)
            lookup[list(file['values'])] = list(file['values'].values())
            label = lookup[label]
        if 'scale' in file:
            label = label * np.float32(file['scale'])
        if label.ndim == 3 and label.dtype == np.uint8:
            return unit_normals(label)
        fits = label.dtype.kind in 'biu' and (not label.size or 0 <= label.min() <= label.max() <= 255)
        return label.astype(np.uint8 if fits else np.float32)
