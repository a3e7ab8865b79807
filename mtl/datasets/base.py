"""What every data set shares: which labels a sample has, how they are read, what happens when a file is broken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mtl.tasks import Task, build_tasks


class SampleError(RuntimeError):
    """A file of a sample that cannot be used; the message names both."""


def read_or_explain(read: Callable[[], np.ndarray | None], what: str, files: Sequence[Path]) -> np.ndarray | None:
    """What ``read`` gives; any failure as a :class:`SampleError` that names ``what`` and its files."""
    try:
        return read()
    except Exception as error:  # PIL, scipy and numpy raise kinds of their own for broken files
        names = ', '.join(str(path) for path in files) or 'its files'
        raise SampleError(f'{what} cannot be read from {names} ({type(error).__name__}: {error}).') from error


class MultiTaskDataset(BaseDataset):
    """Images of which each may be labelled for some of the tasks.

    Subclasses say where an image lies (:meth:`image_path`), which labels the data set has (:attr:`readers`) and, in
    their docstring, how the files are laid out. A reader returns ``None`` where the image has no such label.

    Args:
        data_root: folder of the data set.
        tasks: ``{name: config}``; only their labels are read.
        split: name of a list of the data set, e.g. ``'train'``, or the path of a text file with an id a line.
        pipeline: configs of the transforms.
        on_error: ``'raise'`` stops at a broken sample; ``'skip'`` reports it, counts it in :attr:`skipped`, and
            serves another one (in training only: an evaluation that leaves samples out is a different evaluation).
        use_cache: read labels that ``tools/prepare_data.py`` has cached, as long as their sources are unchanged.

    Raises:
        FileNotFoundError: the folder or the list is missing; the message shows the layout and the command that makes
            a stand-in.
        ValueError: a task without a label in this data set.
    """

    layout: str = ''
    stand_in: str = ''
    splits: Mapping[str, str] = {}

    def __init__(
        self,
        data_root: str | Path,
        tasks: Mapping[str, dict | Task],
        split: str = 'train',
        pipeline: Sequence[dict | Callable] = (),
        on_error: str = 'raise',
        use_cache: bool = True,
        test_mode: bool = False,
        **base_options,
    ) -> None:
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"on_error must be 'raise' or 'skip'; found {on_error!r}.")
        self.root = Path(data_root).expanduser()
        self.tasks = build_tasks(tasks)
        self.split, self.on_error, self.use_cache = split, on_error, use_cache
        self.skipped: dict[str, str] = {}
        unknown = [name for name in self.tasks if name not in self.readers]
        if unknown:
            raise ValueError(
                f'{type(self).__name__} has no labels for {", ".join(unknown)}. It has: {", ".join(self.readers)}.'
            )
        self.ids = self.find_ids()
        super().__init__(
            pipeline=list(pipeline), test_mode=test_mode, max_refetch=100, serialize_data=False, **base_options
        )

    # ---- what a data set says of itself ---------------------------------------------------------------------------

    @property
    def readers(self) -> dict[str, Callable[[str], np.ndarray | None]]:
        """``{task name: function from sample id to label array, or None}``; shapes as :mod:`mtl.tasks` says."""
        raise NotImplementedError

    def image_path(self, sample_id: str) -> Path:
        """Where the image of a sample lies."""
        raise NotImplementedError

    def label_sources(self, name: str, sample_id: str) -> list[Path]:
        """The files that the label ``name`` of a sample is read from, those that exist."""
        raise NotImplementedError

    # ---- MMEngine's side ------------------------------------------------------------------------------------------

    def find_ids(self) -> list[str]:
        """The ids of the split, a line each in its list.

        Raises:
            FileNotFoundError: see :class:`MultiTaskDataset`.
        """
        named = self.splits.get(self.split)
        path = self.root / named if named else Path(self.split).expanduser()
        if not self.root.is_dir() or not path.is_file():
            missing = f'the folder {self.root.absolute()}' if not self.root.is_dir() else f'the list {path.absolute()}'
            raise FileNotFoundError(
                f'{type(self).__name__}: {missing} is missing. Expected layout:\n\n{self.layout}\n\n'
                f'Put the data there, or say where they are with --cfg-options data_root=FOLDER. To try things '
                f'without the data, make a stand-in:\n\n    {self.stand_in}'
            )
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]

    def load_data_list(self) -> list[dict]:
        """One entry an id."""
        name = type(self).__name__
        return [{'sample_id': i, 'img_path': str(self.image_path(i)), 'dataset': name} for i in self.ids]

    def get_data_info(self, idx: int) -> dict:
        """Meta data of a sample, its tasks, and the functions that read a label and name its files."""
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
            self.skipped[self.get_data_info(idx)['sample_id']] = str(error)
            print_log(f'{error} Skipped ({len(self.skipped)} so far).', 'current', logging.WARNING)
            return None

    def read_label(self, name: str, sample_id: str) -> np.ndarray | None:
        """The label ``name`` of a sample from the cache or from its own files; ``None`` where there is none.

        Raises:
            SampleError: a file that cannot be read or does not hold what it should.
        """
        return read_or_explain(
            lambda: self.readers[name](sample_id),
            f'{type(self).__name__}: the label {name} of sample {sample_id}',
            self.label_sources(name, sample_id),
        )
