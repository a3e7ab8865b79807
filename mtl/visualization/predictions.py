"""One picture of all predictions of an image, with legends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task
from mtl.tasks.base import as_numpy
from mtl.visualization.canvas import fit, line, side_by_side, stacked
from mtl.visualization.legend import draw_legend

ASPECT = 1.6  # of a screen, roughly


def draw_predictions(
    image: np.ndarray,
    sample: MultiTaskDataSample,
    tasks: Mapping[str, Task],
    opacity: float = 0.6,
    height: int = 320,
    columns: int | None = None,
) -> np.ndarray:
    """The image and one tile a task, each with its legend.

    Args:
        image: ``[H, W, 3]`` uint8 RGB.
        sample: with ``pred_<task>`` at the size of the image; tasks without one are left out.
        tasks: ``{name: task}``; the task draws its map.
        opacity: of maps that are laid over the image; see :meth:`mtl.tasks.Task.overlay`.
        height: of a tile in pixels; its width follows from the image.
        columns: tiles a row; by default as many as bring the panel nearest to the shape of a screen.

    Returns:
        ``[H', W', 3]`` uint8 RGB.

    Raises:
        ValueError: a prediction of another size than the image.
    """
    size = (height, max(1, round(height * image.shape[1] / image.shape[0])))
    tiles = [stacked([line('image', size[1]), fit(image, size)], gap=0)]
    for name, task in tasks.items():
        if f'pred_{name}' not in sample:
            continue
        values = as_numpy(sample.prediction(name))
        if values.shape[-2:] != image.shape[:2]:
            raise ValueError(
                f'The prediction of {name} has the size {list(values.shape[-2:])}, its image {list(image.shape[:2])}.'
            )
        picture = fit(task.overlay(image, values, opacity), size)
        legend = draw_legend(task.legend(values), size[1])
        tiles.append(stacked([line(name, size[1]), picture, legend], gap=0))
    columns = columns or _columns(len(tiles), *size)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    return stacked([side_by_side(row) for row in rows])


def _columns(tiles: int, height: int, width: int) -> int:
    """Tiles a row for a panel nearest to :data:`ASPECT`; rows without holes win."""

    def distance(columns: int) -> float:
        rows = -(-tiles // columns)
        holes = rows * columns - tiles
        return abs(np.log(columns * width / (rows * height) / ASPECT)) + holes / columns

    return min(range(1, tiles + 1), key=distance)
