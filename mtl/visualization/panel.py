"""One picture of a sample: the image, and one column per task with the label above the prediction, and a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task
from mtl.tasks.legends import ClassLegend, Legend
from mtl.visualization.canvas import GAP, absent, blank, fit, line, side_by_side, write
from mtl.visualization.legend import draw_legend
from mtl.visualization.predictions import tile_size


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
    size = tile_size(image, height)
    about = [str(sample.get(key)) for key in ('dataset', 'sample_id') if sample.get(key) is not None]
    columns = [_column('image', [fit(image, size), _note(about, size)])]
    for name, task in tasks.items():
        label, prediction = f'gt_{name}', f'pred_{name}'
        tiles = [
            fit(task.draw(sample.get(label)), size) if label in sample else absent('no label', size),
            fit(task.draw(sample.get(prediction)), size) if prediction in sample else absent('not run', size),
        ]
        legend = _legend([task.legend(sample.get(key)) for key in (label, prediction) if key in sample])
        columns.append(_column(name, tiles, draw_legend(legend, size[1])))
    return side_by_side(columns)


def _column(title: str, tiles: Sequence[np.ndarray], below: np.ndarray | None = None) -> np.ndarray:
    width = tiles[0].shape[1]
    below = blank(0, width) if below is None else below
    return np.concatenate([line(title, width), tiles[0], blank(GAP, width), tiles[1], below])


def _legend(legends: Sequence[Legend | None]) -> Legend | None:
    """One legend of label and prediction: all classes of either."""
    if not legends or not isinstance(legends[0], ClassLegend):
        return legends[0] if legends else None
    colours = {name: colour for each in legends for name, colour in zip(each.names, each.colours, strict=True)}
    return ClassLegend(tuple(colours), np.array(list(colours.values()), np.uint8).reshape(-1, 3))


def _note(lines: Sequence[str], size: tuple[int, int]) -> np.ndarray:
    tile = blank(*size)
    for index, text in enumerate([*lines, '', 'above: label', 'below: prediction']):
        write(tile, text, (3, 18 + 18 * index))
    return tile
