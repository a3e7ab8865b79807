"""Boundary predictions and ground truths of all the formats in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.io import loadmat

from mtl.datasets.files import label_changes

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
    """Boundary strengths ``[H, W]``: uint8 as it is, 16-bit PNG divided by 65535, NPY probabilities.

    Raises:
        ValueError: not a map of one channel, or probabilities outside [0, 1].
    """
    values = _read_map(path)
    if values.dtype == np.uint16:
        values = values / 65535.0
    if values.dtype != np.uint8 and (np.nanmin(values) < 0 or np.nanmax(values) > 1):
        raise ValueError(
            f'{path}: boundary strengths must be uint8 or probabilities in [0, 1]; found {values.dtype} from '
            f'{np.nanmin(values):g} to {np.nanmax(values):g}. Apply the sigmoid before writing.'
        )
    return values


def read_truth(path: Path) -> Truth:
    """Ground truth of one image.

    ``.mat`` with ``groundTruth`` (BSDS, several annotators) or ``LabelMap`` (PASCAL-Context: borders between labels).
    PNG and NPY hold one map: 1 boundary, 0 not, 255 unknown; or, where no pixel is 1, 0 and 255 (boundary).

    Raises:
        ValueError: a ``.mat`` without either variable, or a map with other values.
    """
    if path.suffix == '.mat':
        return _read_mat(path)
    values = _read_map(path).astype(np.int64)
    found = set(np.unique(values).tolist())
    if not found <= {0, 1, 255}:
        raise ValueError(f'{path}: a boundary label holds 0, 1 and 255 only; found {sorted(found)[:6]} and more.')
    if 1 in found:
        return Truth([values == 1], values != 255)
    return Truth([values == 255])


def _read_mat(path: Path) -> Truth:
    content = loadmat(path)
    if 'groundTruth' in content:
        cells = content['groundTruth'].ravel()
        return Truth([cell['Boundaries'][0, 0].astype(bool) for cell in cells])
    if 'LabelMap' in content:
        return Truth([label_changes(content['LabelMap']).astype(bool)])
    variables = ', '.join(name for name in content if not name.startswith('__')) or 'nothing'
    raise ValueError(
        f'{path}: expected the variable groundTruth (BSDS) or LabelMap (PASCAL-Context); it has {variables}.'
    )


def _read_map(path: Path) -> np.ndarray:
    values = np.load(path) if path.suffix == '.npy' else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError(f'{path} cannot be read as an image.')
    if path.suffix == '.npy' and values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2:
        raise ValueError(f'{path}: expected one map [H, W]; found an array of shape {values.shape}.')
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
    return {path.stem: path for ending in reversed(endings) for path in sorted(folder.glob(f'*{ending}'))}


def read_list(path: Path) -> list[str]:
    """Image ids, one a line."""
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]
