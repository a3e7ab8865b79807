"""Boundary predictions and ground truths of all the formats in use."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtl.errors import FileError
from mtl.files import label_changes, load_mat, one_channel, probabilities, read_map, visible

_PREDICTION_ENDINGS = ('.png', '.npy')
_TRUTH_ENDINGS = ('.mat', '.png', '.npy')


@dataclass(frozen=True)
class Truth:
    """What is known of one image's boundaries.

    Args:
        maps: boolean ``[H, W]``, one an annotator.
        valid: boolean ``[H, W]``, where the label is known; ``None`` for everywhere.
    """

    maps: Sequence[np.ndarray]
    valid: np.ndarray | None = None


def read_prediction(path: Path) -> np.ndarray:
    """Boundary strengths ``[H, W]``: uint8 from 0 to 255 as they are, all else as probabilities.

    Raises:
        ValueError: see :func:`mtl.files.probabilities`; the message names the file.
    """
    values = _read_map(path)
    if values.dtype == np.uint8 and values.max() > 1:
        return values
    try:
        return probabilities(values)
    except ValueError as error:
        raise FileError(f'{path}: {error}.') from error


def read_truth(path: Path, white_is_unknown: bool | None = None) -> Truth:
    """Ground truth of one image.

    ``.mat`` with ``groundTruth`` (BSDS, several annotators) or ``LabelMap`` (PASCAL-Context: borders between labels).
    PNG and NPY hold one map: 0 no boundary, 1 boundary, 255 unknown; or, in a set of files of which none holds a 1, 0
    and 255 (boundary).

    Args:
        path: of the file.
        white_is_unknown: what 255 means, see :func:`white_is_unknown`; ``None`` tells from this file alone.

    Raises:
        ValueError: a ``.mat`` without either variable, or a map with other values.
    """
    if path.suffix == '.mat':
        return _read_mat(path)
    values = _read_map(path)
    if values.dtype == bool:
        return Truth([values])
    found = np.unique(values)
    if not np.isin(found, (0, 1, 255)).all():
        raise FileError(
            f'{path}: a boundary label holds 0, 1 and 255 only; found '
            f'{", ".join(f"{value:g}" for value in found[~np.isin(found, (0, 1, 255))][:4])}.'
        )
    unknown = 1 in found if white_is_unknown is None else white_is_unknown
    return Truth([values == 1], values != 255) if unknown else Truth([values == 255])


def white_is_unknown(paths: Iterable[Path]) -> bool:
    """Whether 255 means unknown in a set of ground truths: it does where any of the files holds a 1."""
    return any(path.suffix != '.mat' and bool((_read_map(path) == 1).any()) for path in paths)


def _read_mat(path: Path) -> Truth:
    content = load_mat(path)
    if 'groundTruth' in content:
        cells = content['groundTruth'].ravel()
        return Truth([cell['Boundaries'][0, 0].astype(bool) for cell in cells])
    if 'LabelMap' in content:
        return Truth([label_changes(content['LabelMap']).astype(bool)])
    variables = ', '.join(name for name in content if not name.startswith('__')) or 'nothing'
    raise FileError(
        f'{path}: expected the variable groundTruth (BSDS) or LabelMap (PASCAL-Context); it has {variables}.'
    )


def _read_map(path: Path) -> np.ndarray:
    try:
        values = one_channel(read_map(path))
    except (ValueError, OSError) as error:
        raise FileError(f'{path} cannot be read as a map ({error}).') from error
    if values.ndim != 2:
        raise FileError(f'{path}: expected one map [H, W]; found an array of shape {list(values.shape)}.')
    return values


def find_pairs(predictions: Path, truths: Path, ids: Sequence[str] | None = None) -> dict[str, tuple[Path, Path]]:
    """``{id: (prediction, truth)}`` for the listed images, or for all in the folder ``truths``.

    Raises:
        FileNotFoundError: no ground truth at all, or an image without prediction or without ground truth.
    """
    predicted, known = _by_id(predictions, _PREDICTION_ENDINGS), _by_id(truths, _TRUTH_ENDINGS)
    ids = sorted(known) if ids is None else list(ids)
    if not ids:
        raise FileNotFoundError(f'No image to evaluate: {truths} holds no {", ".join(_TRUTH_ENDINGS)} file.')
    for folder, files, endings in (
        (predictions, predicted, _PREDICTION_ENDINGS),
        (truths, known, _TRUTH_ENDINGS),
    ):
        missing = [name for name in ids if name not in files]
        if missing:
            raise FileNotFoundError(
                f'{folder} lacks {len(missing)} of {len(ids)} images, first {missing[0]!r} '
                f'(looked for {" or ".join(missing[0] + ending for ending in endings)}).'
            )
    return {name: (predicted[name], known[name]) for name in ids}


def _by_id(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder.')
    # an ending that comes first in the list wins where an id has several files
    return {path.stem: path for ending in reversed(endings) for path in sorted(visible(folder.glob(f'*{ending}')))}
