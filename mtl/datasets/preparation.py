"""Going through every file of a data set once: is it there, whole, and in range; and caching what is slow to read."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset, SampleError, read_or_explain
from mtl.datasets.transforms.loading import size_fault
from mtl.files import read_picture
from mtl.registry import DATASETS
from mtl.tasks import Depth
from mtl.workers import in_parallel

KINDS = ('missing', 'unreadable', 'wrong size', 'out of range', 'nothing known')
LOADERS = ('train', 'val', 'test')
NAMED = 5  # samples of one cause that are named


@dataclass(frozen=True)
class Problem:
    """A file that is not as it should be.

    Attributes:
        of: ``'image'`` or the name of a label.
        kind: one of :data:`KINDS`.
        message: a sentence that names file and sample.
        sample: its id.
        files: those that the message names.
    """

    of: str
    kind: str
    message: str
    sample: str = ''
    files: tuple[str, ...] = ()

    @property
    def cause(self) -> tuple[str, str, str]:
        """Equal for problems that differ in sample, file and numbers only."""
        words = self.message
        for name in sorted(filter(None, (*self.files, self.sample)), key=len, reverse=True):
            words = words.replace(name, '')
        return self.of, self.kind, re.sub(r'\d+(\.\d+)?', '0', words)


def told_once(problems: Sequence[Problem]) -> list[str]:
    """A line a cause: its first problem in full, how many there are, and which samples the next ones are."""
    causes: dict[tuple, list[Problem]] = {}
    for problem in problems:
        causes.setdefault(problem.cause, []).append(problem)
    lines = []
    for first, *others in causes.values():
        line = f'{first.kind}: {first.message}'
        if others:
            named = list(dict.fromkeys(problem.sample for problem in others if problem.sample))
            rest = f': {", ".join(named[:NAMED])}{", ..." * (len(named) > NAMED)}' if named else ''
            line += f' {len(others) + 1} times in all{rest}'
        lines.append(line)
    return lines


@dataclass
class Findings:
    """What was found in a number of samples.

    Attributes:
        samples: how many.
        good: by ``'image'`` or name of a label, how many can be used.
        problems: what cannot.
        absent: by name of a label, how many samples lack it where that is not a fault.
    """

    samples: int = 0
    good: Counter = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    absent: Counter = field(default_factory=Counter)

    def add(self, other: Findings) -> None:
        """Take in what was found in other samples."""
        self.samples += other.samples
        self.good += other.good
        self.problems += other.problems
        self.absent += other.absent

    def table(self, rows: Sequence[str]) -> str:
        """Counts, a row for the images and for each label."""
        counts = Counter((problem.of, problem.kind) for problem in self.problems if problem.sample)
        counts.update({(name, 'missing'): count for name, count in self.absent.items()})
        lines = [f'{"":<12}{"samples":>9}{"good":>9}' + ''.join(f'{kind:>14}' for kind in KINDS)]
        for row in rows:
            numbers = ''.join(f'{counts[row, kind]:>14}' for kind in KINDS)
            lines.append(f'{row:<12}{self.samples:>9}{self.good[row]:>9}{numbers}')
        return '\n'.join(lines)


def inspect(options: Mapping, write_cache: bool, jobs: int = 1) -> tuple[MultiTaskDataset, Iterator[Findings]]:
    """Go through a split, in which no label may be missing.

    Args:
        options: config of the data set; ``data_root`` and ``split`` say where.
        write_cache: read through the cache and write to it what is slow to read; else read all sources.
        jobs: processes.

    Returns:
        The data set with all its labels, and the findings of each sample.

    Raises:
        FileNotFoundError: the folder or the list of the split is missing.
    """
    packed = pickle.dumps(dict(options))
    _built.cache_clear()  # files may have changed
    dataset = _built(packed, write_cache)
    return dataset, in_parallel(partial(_inspect_item, packed, write_cache, False), list(range(len(dataset))), jobs)


# ---- data sets of a config ------------------------------------------------------------------------------------------


def data_sets_of(config: Mapping) -> dict[str, Mapping]:
    """The data sets of a config's loaders, without their wrappers; what several loaders read is there once.

    Returns:
        Configs by where they stand, e.g. ``'train'`` or ``'val and test, data set 2'``.
    """
    places: dict[str, list] = {}
    found: dict[str, Mapping] = {}
    for loader in LOADERS:
        leaves = list(_leaves((config.get(f'{loader}_dataloader') or {}).get('dataset') or {}))
        for number, leaf in enumerate(leaves, 1):
            key = repr(sorted((name, value) for name, value in leaf.items() if name not in ('pipeline', 'test_mode')))
            found.setdefault(key, leaf)
            places.setdefault(key, []).append((loader, f', data set {number}' if len(leaves) > 1 else ''))
    names = {}
    for key, leaf in found.items():
        where = ' and '.join(dict.fromkeys(loader for loader, _ in places[key])) + places[key][0][1]
        names[where] = leaf
    return names


def _leaves(dataset: Mapping) -> Iterator[Mapping]:
    """A data set, or those inside a wrapper."""
    inner = [*dataset.get('datasets', ()), *([dataset['dataset']] if 'dataset' in dataset else [])]
    if inner and all(isinstance(each, Mapping) for each in inner):
        for each in inner:
            yield from _leaves(each)
    elif dataset:
        yield dataset


def inspect_config(dataset: Mapping, write_cache: bool, jobs: int = 1) -> tuple[list[str], int, Iterator[Findings]]:
    """Go through a data set as its config describes it. A label that is missing is not a fault there.

    Args:
        dataset: its config, see :func:`data_sets_of`.
        write_cache, jobs: see :func:`inspect`.

    Returns:
        Names of its images and labels, the number of its samples, and the findings of each sample. A data set that is
        not a :class:`MultiTaskDataset` has only ``'sample'``: what comes out of its pipeline.

    Raises:
        Exception: the data set cannot be built.
    """
    _built.cache_clear()  # files may have changed
    packed = pickle.dumps(dict(dataset))
    built = _built(packed, write_cache)
    rows = ['image', *built.tasks] if isinstance(built, MultiTaskDataset) else ['sample']
    return (
        rows,
        len(built),
        in_parallel(partial(_inspect_item, packed, write_cache, True), list(range(len(built))), jobs),
    )


@cache
def _built(packed: bytes, write_cache: bool):
    dataset = DATASETS.build(pickle.loads(packed))
    if isinstance(dataset, MultiTaskDataset):
        if not write_cache:
            dataset.cache = None
        elif dataset.cache is not None:
            dataset.cache.fill = True
    return dataset


def _inspect_item(packed: bytes, write_cache: bool, labels_may_be_missing: bool, index: int) -> Findings:
    dataset = _built(packed, write_cache)
    if isinstance(dataset, MultiTaskDataset):
        return _of_sample(dataset, dataset.get_data_info(index)['sample_id'], labels_may_be_missing)
    findings = Findings(samples=1)
    try:
        read = dataset[index]
        fault = 'is None' if read is None else ''
    except Exception as error:  # of any kind: nothing is known of this data set
        fault = f'cannot be read ({type(error).__name__}: {error})'
    if fault:
        message = f'Sample {index} of {type(dataset).__name__} {fault}.'
        findings.problems.append(Problem('sample', 'unreadable', message, str(index)))
    else:
        findings.good['sample'] += 1
    return findings


# ---- one sample -----------------------------------------------------------------------------------------------------


def _of_sample(dataset: MultiTaskDataset, sample_id: str, labels_may_be_missing: bool) -> Findings:
    findings = Findings(samples=1)
    image_shape = None
    path = dataset.image_path(sample_id)
    broken = partial(Problem, 'image', sample=sample_id, files=(str(path),))
    if not path.is_file():
        findings.problems.append(broken(kind='missing', message=f'{path} (sample {sample_id}) is missing.'))
    else:
        try:
            what = f'The image of sample {sample_id}'
            image_shape = read_or_explain(partial(read_picture, path), what, [path]).shape
            findings.good['image'] += 1
        except SampleError as error:
            findings.problems.append(broken(kind='unreadable', message=str(error)))
    for name in dataset.tasks:
        problem = _label_problem(dataset, name, sample_id, image_shape)
        if problem is None:
            findings.good[name] += 1
        elif problem.kind == 'missing' and labels_may_be_missing:
            findings.absent[name] += 1
        else:
            findings.problems.append(problem)
    return findings


def _label_problem(
    dataset: MultiTaskDataset, name: str, sample_id: str, image_shape: tuple[int, ...] | None
) -> Problem | None:
    files = [str(path) for path in dataset.label_files(dataset.labels[name], sample_id)]
    problem = partial(Problem, name, sample=sample_id, files=tuple(files))
    missing = [path for path in files if not Path(path).is_file()]
    if missing or not files:
        message = f'{", ".join(missing) or "Every file"} (label {name} of sample {sample_id}) is missing.'
        return problem(kind='missing', message=message)
    try:
        label = dataset.read_label(name, sample_id)
    except SampleError as error:
        return problem(kind='unreadable', message=str(error))
    named = f'The label {name} of sample {sample_id} ({", ".join(files)})'
    if label is None:
        return problem(kind='unreadable', message=f'{named} holds nothing.')
    if image_shape is not None and (fault := size_fault(label, image_shape)):
        return problem(kind='wrong size', message=f'{named} {fault}.')
    if fault := dataset.tasks[name].fault(label):
        return problem(kind='out of range', message=f'{named} {fault}.')
    if isinstance(dataset.tasks[name], Depth) and not ((label > 0) & np.isfinite(label)).any():
        return problem(kind='nothing known', message=f'{named} holds no known pixel.')
    return None
