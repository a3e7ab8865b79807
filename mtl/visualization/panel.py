"""One picture of a sample: the image, and a column a task with the label above the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task

GAP = 4
STRIP = 20  # height of the line with the column's name
PAPER = (255, 255, 255)
INK = (32, 32, 32)


def draw_panel(
    image: np.ndarray, sample: MultiTaskDataSample, tasks: Mapping[str, Task], height: int = 224
) -> np.ndarray:
    """Compose the panel.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        sample: labels and predictions; an absent label or prediction is drawn as a hatched tile that says so.
        tasks: the columns.
        height: height of a tile in pixels; its width follows from the image.

    Returns:
        ``[H', W', 3]`` uint8 RGB.
    """
    size = (height, max(1, round(height * image.shape[1] / image.shape[0])))
    about = [str(sample.get(key)) for key in ('dataset', 'sample_id') if sample.get(key) is not None]
    columns = [_column('image', [_fit(image, size), _note(about, size)])]
    for name, task in tasks.items():
        label, prediction = f'gt_{name}', f'pred_{name}'
        columns.append(
            _column(
                name,
                [
                    _fit(task.draw(sample.get(label)), size) if label in sample else _absent('no label', size),
                    _fit(task.draw(sample.get(prediction)), size) if prediction in sample else _absent('not run', size),
                ],
            )
        )
    return np.concatenate([part for column in columns for part in (column, _blank(len(column), GAP))][:-1], axis=1)


def _column(title: str, tiles: Sequence[np.ndarray]) -> np.ndarray:
    width = tiles[0].shape[1]
    strip = _blank(STRIP, width)
    _write(strip, title, (3, STRIP - 6))
    return np.concatenate([strip, tiles[0], _blank(GAP, width), tiles[1]])


def _fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to ``(height, width)``, averaging where it shrinks so that thin boundaries do not vanish."""
    height, width = size
    smaller = height < picture.shape[0] or width < picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)


def _absent(text: str, size: tuple[int, int]) -> np.ndarray:
    """A grey tile with diagonal hatching and a word."""
    rows, columns = np.indices(size)
    shades = np.where((rows + columns) % 16 < 2, 160, 205).astype(np.uint8)
    tile = np.repeat(shades[..., None], 3, axis=2)
    _write(tile, text, (8, size[0] // 2))
    return tile


def _note(lines: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    tile = _blank(*size)
    for index, text in enumerate([*lines, '', 'above: label', 'below: prediction']):
        _write(tile, text, (3, 18 + 18 * index))
    return tile


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def _write(canvas: np.ndarray, text: str, origin: tuple[int, int]) -> None:
    cv2.putText(canvas, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.42, INK, 1, cv2.LINE_AA)
