"""Going through every file of a data set once: is it there, whole, and in range; and caching what is slow to read."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import numpy as np

from mtl.datasets.base import MultiTaskDataset, SampleError, read_or_explain
from mtl.datasets.progress import in_parallel
from mtl.datasets.transforms.loading import size_fault
from mtl.files import read_picture
from mtl.registry import DATASETS
from mtl.tasks import Depth

KINDS = ('missing', 'unreadable', 'wrong size', 'out of range', 'nothing known')


@dataclass(frozen=True)
class Problem:
    """A file that is not as it should be.

    Attributes:
        of: ``'image'`` or the name of a label.
        kind: one of :data:`KINDS`.
        message: a sentence that names file and sample.
    """

    of: str
    kind: str
    message: str


@dataclass
class Findings:
    """What was found in a number of samples.

    Attributes:
        samples: how many.
        good: by ``'image'`` or name of a label, how many can be used.
        problems: what cannot.
    """

    samples: int = 0
    good: Counter = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: Findings) -> None:
        """Take in what was found in other samples."""
        self.samples += other.samples
        self.good += other.good
        self.problems += other.problems

    def table(self, rows: Sequence[str]) -> str:
        """Counts, a row for the images and for each label."""
        counts = Counter((problem.of, problem.kind) for problem in self.problems)
        lines = [f'{"":<12}{"samples":>9}{"good":>9}' + ''.join(f'{kind:>14}' for kind in KINDS)]
        for row in rows:
            numbers = ''.join(f'{counts[row, kind]:>14}' for kind in KINDS)
            lines.append(f'{row:<12}{self.samples:>9}{self.good[row]:>9}{numbers}')
        return '\n'.join(lines)


def inspect(options: Mapping, write_cache: bool, jobs: int = 1) -> tuple[MultiTaskDataset, Iterator[Findings]]:
    """Go through a split.

    Args:
        options: config of the data set; ``data_root`` and ``split`` say where. Its pipeline does not matter.
        write_cache: read through the cache and write to it what is slow to read; else read all sources.
        jobs: processes.

    Returns:
        The data set with all its labels, and the findings of each sample.

    Raises:
        FileNotFoundError: the folder or the list of the split is missing.
    """
    cache_options = dict(fill_cache=True) if write_cache else dict(cache_root=None)
    kept = {key: value for key, value in options.items() if key not in ('pipeline', 'test_mode')}
    recipe = pickle.dumps({**kept, **cache_options})  # every process builds the data set once
    dataset = _dataset(recipe)
    return dataset, in_parallel(partial(_inspect_sample, recipe), dataset.ids, jobs)


@cache
def _dataset(recipe: bytes) -> MultiTaskDataset:
    return DATASETS.build(pickle.loads(recipe))


def _inspect_sample(recipe: bytes, sample_id: str) -> Findings:
    dataset = _dataset(recipe)
    findings = Findings(samples=1)
    image_shape = None
    image_path = dataset.image_path(sample_id)
    if not image_path.is_file():
        findings.problems.append(Problem('image', 'missing', f'{image_path} (sample {sample_id}) is missing.'))
    else:
        try:
            what = f'The image of sample {sample_id}'
            image_shape = read_or_explain(partial(read_picture, image_path), what, [image_path]).shape
            findings.good['image'] += 1
        except SampleError as error:
            findings.problems.append(Problem('image', 'unreadable', str(error)))
    for name in dataset.tasks:
        problem = _label_problem(dataset, name, sample_id, image_shape)
        if problem is None:
            findings.good[name] += 1
        else:
            findings.problems.append(problem)
    return findings


def _label_problem(
    dataset: MultiTaskDataset, name: str, sample_id: str, image_shape: tuple[int, ...] | None
) -> Problem | None:
    files = dataset.label_files(name, sample_id)
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        return Problem(name, 'missing', f'{", ".join(missing)} (label {name} of sample {sample_id}) is missing.')
    try:
        label = dataset.read_label(name, sample_id)
    except SampleError as error:
        return Problem(name, 'unreadable', str(error))
    named = f'The label {name} of sample {sample_id} ({", ".join(map(str, files))})'
    if label is None:
        return Problem(name, 'unreadable', f'{named} holds nothing.')
    if image_shape is not None and (fault := size_fault(label, image_shape)):
        return Problem(name, 'wrong size', f'{named} {fault}.')
    if fault := dataset.tasks[name].fault(label):
        return Problem(name, 'out of range', f'{named} {fault}.')
    if isinstance(dataset.tasks[name], Depth) and not ((label > 0) & np.isfinite(label)).any():
        return Problem(name, 'nothing known', f'{named} holds no known pixel.')
    return None
