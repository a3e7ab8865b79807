"""A data set of one's own, described by where its files lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.files import classes_of_colours, exchanged, one_channel, read_map, visible
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

    Maps are read by :func:`mtl.files.read_map`: a picture gives its numbers as they are (a palette image the
    indices, one bit 0 and 1), ``.npy`` its array. Normals as a picture are ``n = 2 v / 255 - 1``, x right, y down, z
    towards the camera. Depth and normals that are inf or NaN are unknown. A file that is missing is a label that is
    missing. What a label must hold is what its task says; a file that holds something else is named.

    Args:
        data_root: folder of the data set.
        files: path below ``data_root``, with ``{id}``, of the ``image`` and of each label; for a label also
            ``dict(path=..., values={stored: meant}, colours={(r, g, b): class}, scale=...)``: ``values`` exchanges
            numbers of any size (class ids from 1, 255 for 1, 65535 for unknown), ``colours`` reads pictures in which
            colours stand for classes, ``scale`` multiplies what has been exchanged (millimetres to metres: 0.001).
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
            unknown = set(file) - {'path', 'values', 'scale', 'colours'}
            if unknown or file.get('path', '').count(ID) != 1:
                raise ValueError(
                    f'files[{name!r}] must be a path with {ID} once, or dict(path=..., values=..., colours=..., '
                    f'scale=...); found {files[name]!r}.'
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
        found = visible(self.root.glob(f'{before}{self.split}{after}'), self.root)
        paths = (path.relative_to(self.root).as_posix() for path in found)
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
        label, file = read_map(path), self.files[name]
        if 'colours' in file:
            label = classes_of_colours(label, dict(map(_colour, file['colours'].items())))
        if 'values' in file:
            label = exchanged(one_channel(label), file['values'])
        if 'scale' in file:
            label = one_channel(label) * np.float64(file['scale'])
        return self.label_tasks[name].from_stored(label)


def _colour(item: tuple) -> tuple[tuple[int, ...], int]:
    """``((r, g, b), class)``; a colour may be a tuple, or, where a config must be text, ``'r,g,b'``."""
    colour, index = item
    parts = colour.split(',') if isinstance(colour, str) else colour
    return tuple(int(part) for part in parts), int(index)
