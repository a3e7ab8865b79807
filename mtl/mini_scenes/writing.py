"""Whole data sets: made in parallel in a temporary folder beside their place, then moved there in one step."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from mtl.progress import report_progress
from mtl.workers import in_parallel

from .layouts import write_nyud_sample, write_pascal_sample
from .scene import check_request, render_scene

# Part of what must match for a folder to be reused: raise it whenever the same arguments give other files.
FORMAT = 1
RECORD = 'mini_scenes.json'
EDITIONS = ('mti', 'atrc')

_FOLDERS = {
    'pascal': (
        'JPEGImages', 'semseg/VOC12', 'semseg/pascal-context', 'human_parts', 'pascal-context/trainval',
        'normals_distill', 'sal_distill', 'depth',
    ),
    'nyud': ('images', 'segmentation', 'depth', 'normals', 'edge'),
}  # fmt: skip
_LISTS = {'pascal': 'ImageSets/Context', 'nyud': 'gt_sets'}


@dataclass(frozen=True)
class Recipe:
    """All that determines a data set's files; kept as ``mini_scenes.json`` in its root.

    Attributes:
        layout: ``pascal`` or ``nyud``.
        edition: ``mti`` or ``atrc`` for ``nyud``, empty for ``pascal``.
        num_train, num_val: number of images.
        size: height, width in pixels.
        seed: of the data set. Its training images are scenes of even seeds, its validation images of odd ones.
        style: see :func:`.scene.render_scene`.
    """

    layout: str
    edition: str
    num_train: int
    num_val: int
    size: tuple[int, int]
    seed: int
    style: str
    format: int = FORMAT

    def samples(self) -> list[tuple[str, int]]:
        """``(sample id, scene seed)`` of every image."""
        # An odd factor permutes the 32-bit numbers, so data sets of neighbouring seeds start far apart.
        start = (self.seed * 2654435761 * 2) % 2**32
        return [
            (f'{split}_{number:05d}', (start + 2 * number + parity) % 2**32)
            for parity, (split, count) in enumerate([('train', self.num_train), ('val', self.num_val)])
            for number in range(count)
        ]

    def to_json(self) -> str:
        """The record, as text."""
        return json.dumps(asdict(self), indent=1) + '\n'


def write_pascal(
    root: str | Path,
    num_train: int,
    num_val: int,
    size: tuple[int, int],
    seed: int,
    jobs: int = 1,
    style: str = 'day',
) -> Path:
    """Write a data set in the layout of ``PASCAL_MT``, with ``depth/<id>.npy`` added; byte-identical for a seed.

    Args:
        root: folder to make; it must not exist, or be empty.
        num_train, num_val: number of images.
        size: height and width in pixels.
        seed: any non-negative integer.
        jobs: processes; the files do not depend on it.
        style: ``day`` or ``dusk``.

    Returns:
        The folder.

    Raises:
        FileExistsError: ``root`` holds something already.
        ValueError: an argument out of range.
    """
    return _write(Path(root), Recipe('pascal', '', num_train, num_val, tuple(size), seed, style), jobs)


def write_nyud(
    root: str | Path,
    num_train: int,
    num_val: int,
    size: tuple[int, int],
    seed: int,
    jobs: int = 1,
    style: str = 'day',
    edition: str = 'mti',
) -> Path:
    """Write rooms in the layout of ``NYUD_MT``; otherwise like :func:`write_pascal`.

    Args:
        edition: ``mti`` (JPEG images, NumPy labels) or ``atrc`` (PNG throughout), the two that circulate.
    """
    return _write(Path(root), Recipe('nyud', edition, num_train, num_val, tuple(size), seed, style), jobs)


def ensure_pascal(
    root: str | Path,
    num_train: int,
    num_val: int,
    size: tuple[int, int],
    seed: int,
    jobs: int = 1,
    style: str = 'day',
) -> Path:
    """Like :func:`write_pascal`, but a complete folder made with equal arguments is taken as it is."""
    return _write(Path(root), Recipe('pascal', '', num_train, num_val, tuple(size), seed, style), jobs, reuse=True)


def ensure_nyud(
    root: str | Path,
    num_train: int,
    num_val: int,
    size: tuple[int, int],
    seed: int,
    jobs: int = 1,
    style: str = 'day',
    edition: str = 'mti',
) -> Path:
    """Like :func:`write_nyud`, but a complete folder made with equal arguments is taken as it is."""
    recipe = Recipe('nyud', edition, num_train, num_val, tuple(size), seed, style)
    return _write(Path(root), recipe, jobs, reuse=True)


def _write(root: Path, recipe: Recipe, jobs: int, reuse: bool = False) -> Path:
    """Make the data set of ``recipe`` at ``root``. Any number of processes may ask at once: one writes, others wait."""
    _check(recipe)
    if reuse and _is_complete(root, recipe):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = root.parent / f'.{root.name}.lock'
    try:
        lock.touch()
    except OSError as error:  # a lock would wait for ever
        message = f'MiniScenes cannot be made in {root}: {error.strerror}. Choose another folder.'
        raise PermissionError(message) from error
    with FileLock(lock):
        if reuse and _is_complete(root, recipe):
            return root
        _refuse_to_overwrite(root, recipe)
        # Whoever holds the lock owns this name: what lies there was left by a process that was killed.
        unfinished = root.parent / f'.{root.name}.unfinished'
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            _write_files(unfinished, recipe, jobs, title=f'Making MiniScenes in {root}')
            unfinished.replace(root)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return root


def _check(recipe: Recipe) -> None:
    check_request(recipe.size, recipe.style)
    if recipe.layout == 'nyud' and recipe.edition not in EDITIONS:
        raise ValueError(f'Unknown edition {recipe.edition!r} of NYUD-v2. Known: {", ".join(EDITIONS)}.')
    if min(recipe.num_train, recipe.num_val, recipe.seed) < 0:
        raise ValueError(
            'The numbers of MiniScenes images and the seed must not be negative; found '
            f'num_train={recipe.num_train}, num_val={recipe.num_val}, seed={recipe.seed}.'
        )


def _is_complete(root: Path, recipe: Recipe) -> bool:
    """Whether ``root`` was made by ``recipe``; the record comes into its place together with all other files."""
    record = root / RECORD
    return record.is_file() and record.read_text() == recipe.to_json()


def _refuse_to_overwrite(root: Path, recipe: Recipe) -> None:
    """Raise when there is anything at ``root``."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    record = root / RECORD
    if record.is_file():
        found = f'a MiniScenes data set made with {json.loads(record.read_text())}'
    else:
        found = 'files that are not MiniScenes'
    raise FileExistsError(
        f'Expected {root} to be absent or empty in order to write MiniScenes with {asdict(recipe)}; found {found}. '
        'Give another folder, or remove this one if it is not needed.'
    )


def _write_files(root: Path, recipe: Recipe, jobs: int, title: str) -> None:
    for folder in (*_FOLDERS[recipe.layout], _LISTS[recipe.layout]):
        (root / folder).mkdir(parents=True)
    samples = recipe.samples()
    for split in ('train', 'val'):
        lines = [f'{sample_id}\n' for sample_id, _ in samples if sample_id.startswith(split)]
        (root / _LISTS[recipe.layout] / f'{split}.txt').write_text(''.join(lines))
    for _ in report_progress(in_parallel(partial(_write_sample, root, recipe), samples, jobs), len(samples), title):
        pass
    (root / RECORD).write_text(recipe.to_json())


def _write_sample(root: Path, recipe: Recipe, sample: tuple[str, int]) -> None:
    sample_id, scene_seed = sample
    if recipe.layout == 'pascal':
        write_pascal_sample(root, sample_id, render_scene(scene_seed, recipe.size, recipe.style))
    else:
        scene = render_scene(scene_seed, recipe.size, recipe.style, place='room')
        write_nyud_sample(root, sample_id, scene, recipe.edition)
