"""What every data set shares: which labels a sample has, how they are read, what happens when a file is broken."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mtl.datasets.cache import LabelCache
from mtl.errors import ExplainedError
from mtl.files import read_list
from mtl.registry import TRANSFORMS
from mtl.tasks import Task, build_tasks


class SampleError(ExplainedError, RuntimeError):
    """A file of a sample that cannot be used; the message names both."""


def read_or_explain(read: Callable[[], np.ndarray | None], what: str, files: Sequence[Path]) -> np.ndarray | None:
    """What ``read`` gives; any failure as a :class:`SampleError` that names ``what`` and its files."""
    try:
        return read()
    except Exception as error:  # PIL, scipy and numpy raise kinds of their own for broken files
        names = ', '.join(str(path) for path in files) or 'its files'
        raise SampleError(f'{what} cannot be read from {names} ({type(error).__name__}: {error}).') from error


class MultiTaskDataset(BaseDataset, ABC):
    """Images of which each may be labelled for some of the tasks.

    Subclasses say where an image lies (:meth:`image_path`), which labels the data set has (:attr:`label_tasks`,
    :attr:`readers`) and, in :attr:`layout`, how the files are laid out. A reader returns ``None`` where the image has
    no such label.

    Data sets with different tasks can be concatenated (MMEngine's ``ConcatDataset``). Where two of them have labels of
    one name but of different classes, give the task of one of them another name and say with ``labels`` what it reads.
    A task may also derive its label from another one (:attr:`mtl.tasks.Task.source`).

    Args:
        data_root: folder of the data set.
        tasks: ``{name: config}``, only their labels are read; ``None`` takes all that the data set has.
        split: name of a list of the data set, e.g. ``'train'``, or the path of a text file with an id a line.
        pipeline: configs of the transforms.
        labels: ``{task name: label name}`` of tasks that are not called like the label they learn from, for instance
            ``dict(clothes='semseg')``.
        on_error: ``'raise'`` stops at a broken sample; ``'skip'`` reports it, counts it in :attr:`skipped`, and
            serves another one (in training only: an evaluation that leaves samples out is a different evaluation).
        cache_root: folder, relative to ``data_root``, of the labels that ``tools/prepare_data.py`` has cached. They
            are read instead of their sources as long as these are unchanged. ``None`` always reads the sources.
        fill_cache: write labels that are slow to read into the cache when they are first read.

    Raises:
        FileNotFoundError: the folder or the list is missing; the message shows the layout and the command that makes
            a stand-in.
        ValueError: a task without a label in this data set, or with other classes than its label.
    """

    layout: str = ''
    stand_in: str = ''
    splits: Mapping[str, str] = {}
    label_tasks: Mapping[str, dict] = {}

    def __init__(
        self,
        data_root: str | Path,
        tasks: Mapping[str, dict | Task] | None = None,
        split: str = 'train',
        pipeline: Sequence[dict | Callable] = (),
        labels: Mapping[str, str] | None = None,
        on_error: str = 'raise',
        cache_root: str | Path | None = 'cache',
        fill_cache: bool = False,
        test_mode: bool = False,
        **base_options,
    ) -> None:
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"on_error must be 'raise' or 'skip'; found {on_error!r}.")
        self.root = Path(data_root).expanduser()
        tasks = self.label_tasks if tasks is None else tasks
        self.tasks = build_tasks(tasks) if tasks else {}
        self.labels = {name: task.source or name for name, task in self.tasks.items()} | dict(labels or {})
        self._check_tasks()
        self.split, self.on_error = split, on_error
        self.cache = LabelCache(self.root / cache_root, fill_cache) if cache_root is not None else None
        self.ids = self.find_ids()
        self._broken = torch.zeros(len(self.ids), dtype=torch.bool)
        if on_error == 'skip':
            self._broken.share_memory_()  # data workers write, everybody reads
        transforms = [TRANSFORMS.build(step) if isinstance(step, Mapping) else step for step in pipeline]
        super().__init__(
            pipeline=transforms, test_mode=test_mode, max_refetch=100, serialize_data=False, **base_options
        )

        self._warn_of_tasks_without_labels()

    # ---- what a data set says of itself ---------------------------------------------------------------------------

    @property
    @abstractmethod
    def readers(self) -> dict[str, Callable[[str], np.ndarray | None]]:
        """``{label name: function from sample id to label array, or None}``; shapes as :mod:`mtl.tasks` says."""

    @abstractmethod
    def image_path(self, sample_id: str) -> Path:
        """Where the image of a sample lies."""

    @abstractmethod
    def label_files(self, name: str, sample_id: str) -> list[Path]:
        """The files that the label ``name`` of a sample is read from, whether they exist or not; none for no label."""

    @property
    def skipped(self) -> list[str]:
        """Ids of the broken samples that were skipped so far, in all data workers."""
        return [self.ids[index] for index in self._broken.nonzero().flatten().tolist()]

    def _check_tasks(self) -> None:
        kind, known = type(self).__name__, build_tasks(self.label_tasks) if self.tasks else {}
        for name, task in self.tasks.items():
            label = self.labels[name]
            if label not in known:
                raise ValueError(f'{kind} has no labels for {name}. It has: {", ".join(known)}.')
            if task.source is None and task.out_channels != known[label].out_channels:
                raise ValueError(
                    f'The label {label} of {kind} has {known[label].out_channels} classes or channels, but the task '
                    f'{name} that is to learn from it has {task.out_channels}. If the task belongs to another data '
                    f'set, leave it out here, or add a task of its own and say labels=dict(<its name>={label!r}).'
                )

    def _warn_of_tasks_without_labels(self) -> None:
        for task, label in self.labels.items():
            if not any(0 < len(self.existing(label, i)) == len(self.label_files(label, i)) for i in self.ids):
                expected = ', '.join(map(str, self.label_files(label, self.ids[0]))) if self.ids else ''
                print_log(
                    f'{type(self).__name__}: no sample of the split {self.split!r} has a label for {task}; looked, for '
                    f'instance, for {expected or "a sample"}.',
                    'current',
                    logging.WARNING,
                )

    # ---- MMEngine's side ------------------------------------------------------------------------------------------

    def find_ids(self) -> list[str]:
        """The ids of the split, a line each in its list.

        Raises:
            FileNotFoundError: see :class:`MultiTaskDataset`.
            ValueError: see :func:`mtl.files.read_list`.
        """
        named = self.splits.get(self.split)
        path = self.root / named if named else Path(self.split).expanduser()
        if not self.root.is_dir() or not path.is_file():
            missing = f'the folder {self.root.absolute()}' if not self.root.is_dir() else f'the list {path.absolute()}'
            raise FileNotFoundError(
                f'{type(self).__name__}: {missing} is missing. Expected layout:\n\n{self.layout}\n\n'
                'Put the data there, or say where they are with --cfg-options data_root=FOLDER.'
                + (f' To try things without the data, make a stand-in:\n\n    {self.stand_in}' if self.stand_in else '')
            )
        return read_list(path)

    def load_data_list(self) -> list[dict]:
        """One entry an id."""
        name = type(self).__name__
        return [{'sample_id': i, 'img_path': str(self.image_path(i)), 'dataset': name} for i in self.ids]

    def get_data_info(self, idx: int) -> dict:
        """Meta data of a sample, its tasks, and the functions that read the label of a task and name its files."""
        info = super().get_data_info(idx)
        info['tasks'] = self.tasks
        info['read_label'], info['label_sources'] = self.read_label, self.label_sources
        return info

    def prepare_data(self, idx: int):
        """The sample through the pipeline; ``None`` where it is broken and ``on_error='skip'`` (another is taken)."""
        try:
            return super().prepare_data(idx)
        except SampleError as error:
            if self.on_error == 'raise' or self.test_mode:
                raise
            index = self.ids.index(self.get_data_info(idx)['sample_id'])
            if not self._broken[index]:
                self._broken[index] = True
                print_log(f'{error} Skipped ({len(self.skipped)} so far).', 'current', logging.WARNING)
            return None

    # ---- labels ---------------------------------------------------------------------------------------------------

    def existing(self, name: str, sample_id: str) -> list[Path]:
        """Those of :meth:`label_files` that exist."""
        return [path for path in self.label_files(name, sample_id) if path.is_file()]

    def label_sources(self, task: str, sample_id: str) -> list[Path]:
        """The files that the label of a sample for ``task`` is read from, those that exist."""
        return self.existing(self.labels[task], sample_id)

    def read_label(self, task: str, sample_id: str) -> np.ndarray | None:
        """The label of a sample for ``task``, in the form its task states; ``None`` where there is none.

        Raises:
            SampleError: a file that cannot be read or does not hold what it should.
        """

        def read() -> np.ndarray | None:
            label = self.readers[self.labels[task]](sample_id)
            return None if label is None else self.tasks[task].from_label(label)

        return read_or_explain(
            read,
            f'{type(self).__name__}: the label {task} of sample {sample_id}',
            self.label_sources(task, sample_id),
        )

    def compact(self, name: str, sample_id: str, read: Callable[[str], np.ndarray | None]) -> np.ndarray | None:
        """What is slow to read, from the cache where that is up to date.

        Args:
            name: of the map in the cache and in :meth:`label_files`.
            sample_id: of the sample.
            read: reads it from its sources, as ``[H, W]`` or ``[H, W, 3]`` uint8.
        """
        if self.cache is None:
            return read(sample_id)
        return self.cache.get(name, sample_id, self.existing(name, sample_id), read)
