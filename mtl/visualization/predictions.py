"""One picture of all maps of an image, predictions or labels, with legends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task
from mtl.tasks.base import as_numpy
from mtl.tasks.legends import Legend
from mtl.visualization.canvas import GAP, STRIP, absent, fit, line, side_by_side, stacked
from mtl.visualization.legend import ROWS, draw_legend

ASPECT = 1.6  # of a screen, roughly
WIDEST = 8  # a strip of an image would make a panel of gigabytes
SCREEN = 1000, 1600  # height and width that a panel fills in one direction
BESIDES = STRIP + ROWS * STRIP + GAP  # height that title, legend and gap of a tile take at most


def draw_predictions(
    image: np.ndarray,
    sample: MultiTaskDataSample,
    tasks: Mapping[str, Task],
    opacity: float = 0.6,
    height: int | None = None,
    columns: int | None = None,
) -> np.ndarray:
    """The image and one tile a task, each with its legend.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        sample: with ``pred_<task>`` at the size of the image; tasks without one are left out.
        tasks: ``{name: task}``; the task draws its map.
        opacity: of maps that are laid over the image; see :meth:`mtl.tasks.Task.overlay`.
        height: of a tile in pixels; its width follows from the image. By default the panel
            fills :data:`SCREEN` in one direction, whatever the size of the image and the number of tasks.
        columns: tiles per row; by default as many as make the largest tiles, or, of a given height, bring the panel
            nearest to the shape of a screen.

    Returns:
        ``[H', W', 3]`` uint8 RGB.

    Raises:
        ValueError: a prediction of another size than the image.
    """
    ran = {name: task for name, task in tasks.items() if f'pred_{name}' in sample}
    size, columns = _layout(image, 1 + len(ran), height, columns)
    tiles = [_tile('image', fit(image, size))]
    for name, task in ran.items():
        values = as_numpy(sample.prediction(name))
        if values.shape[-2:] != image.shape[:2]:
            raise ValueError(
                f'The prediction of {name} has the size {list(values.shape[-2:])}, its image {list(image.shape[:2])}.'
            )
        # a photograph has far more pixels than its tile; two a pixel of the tile are enough to average
        step = max(1, min(image.shape[0] // (2 * size[0]), image.shape[1] // (2 * size[1])))
        fewer = values[..., ::step, ::step]
        picture = task.overlay(fit(image, fewer.shape[-2:]), fewer, opacity)
        tiles.append(_tile(name, fit(picture, size), task.legend(values)))
    return _grid(tiles, columns)


def draw_labels(
    image: np.ndarray,
    sample: MultiTaskDataSample,
    tasks: Mapping[str, Task],
    opacity: float = 0.6,
    height: int | None = None,
    columns: int | None = None,
) -> np.ndarray:
    """The image and one tile a task with its label; a label that is missing, or unknown everywhere, is hatched.

    Args:
        image, tasks, opacity, height, columns: see :func:`draw_predictions`.
        sample: with ``gt_<task>`` of any size.

    Returns:
        ``[H', W', 3]`` uint8 RGB.
    """
    size, columns = _layout(image, 1 + len(tasks), height, columns)
    tiles = [_tile('image', fit(image, size))]
    for name, task in tasks.items():
        missing = (
            'no label' if not sample.has_label(name) else '' if task.valid(sample.label(name)).any() else 'unknown'
        )
        if missing:
            tiles.append(_tile(name, absent(missing, size)))
            continue
        values = as_numpy(sample.label(name))
        below = image if values.shape[-2:] == image.shape[:2] else fit(image, values.shape[-2:])
        tiles.append(_tile(name, fit(task.overlay(below, values, opacity), size), task.legend(values)))
    return _grid(tiles, columns)


def tile_size(image: np.ndarray, height: int) -> tuple[int, int]:
    """``(height, width)`` of a tile in the shape of ``image``.

    A tile is at most :data:`WIDEST` times as wide as high; a higher strip is drawn wider, or its legend had no room.
    """
    width = max(height * image.shape[1] / image.shape[0], height / WIDEST)
    shrink = min(1.0, WIDEST * height / width)
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def _tile(title: str, picture: np.ndarray, legend: Legend | None = None) -> np.ndarray:
    width = picture.shape[1]
    return stacked([line(title, width), picture, draw_legend(legend, width)], gap=0)


def _layout(image: np.ndarray, tiles: int, height: int | None, columns: int | None) -> tuple[tuple[int, int], int]:
    """``(height, width)`` of a tile, and the tiles per row."""
    size = tile_size(image, height or SCREEN[0])
    if height is not None:
        return size, columns or _columns(tiles, *size)

    def scale(columns: int) -> float:
        """By which tiles fill the screen in one direction."""
        down, across = SCREEN[0] / -(-tiles // columns) - BESIDES, SCREEN[1] / columns - GAP
        return min(down / size[0], across / size[1])

    columns = columns or max(range(1, tiles + 1), key=scale)
    return tuple(max(1, round(side * scale(columns))) for side in size), columns


def _grid(tiles: list[np.ndarray], columns: int) -> np.ndarray:
    return stacked([side_by_side(tiles[start : start + columns]) for start in range(0, len(tiles), columns)])


def _columns(tiles: int, height: int, width: int) -> int:
    """Tiles per row for a panel nearest to :data:`ASPECT`; rows without holes win."""

    def distance(columns: int) -> float:
        rows = -(-tiles // columns)
        holes = rows * columns - tiles
        return abs(np.log(columns * width / (rows * height) / ASPECT)) + holes / columns

    return min(range(1, tiles + 1), key=distance)
