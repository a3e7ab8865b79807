"""Which of several compromises are worth having, and how much they cover together. Every objective is to be maximised.

A cost is turned into such an objective by its sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def pareto_front(points: np.ndarray) -> np.ndarray:
    """Which points no other one beats: boolean ``[N]`` for ``[N, M]``.

    A point beats another if it is nowhere worse and somewhere better. Of equal points the first stays.
    """
    points = _points(points)
    kept = np.ones(len(points), dtype=bool)
    for index, point in enumerate(points):
        no_worse = (points >= point).all(1)
        better = no_worse & (points > point).any(1)
        same = no_worse & ~better
        kept[index] = not better.any() and not same[:index].any()
    return kept


def hypervolume(points: np.ndarray, reference: Sequence[float]) -> float:
    """Volume that ``points`` ``[N, M]`` cover together above ``reference`` ``[M]``, exactly.

    Of the boxes that each span from the reference to a point, the volume of the union (Zitzler & Thiele, 1998). A point
    that is not better than the reference in some objective covers nothing. In two dimensions a staircase; in more, the
    points are added one by one in slices along the last objective: exponential in the number of objectives at worst,
    fast for a front of hundreds of points and up to six.
    """
    points, origin = _points(points), np.asarray(reference, dtype=np.float64)
    if origin.shape != points.shape[1:]:
        raise ValueError(f'The reference must have {points.shape[1]} values, one an objective; found {reference}.')
    heights = points - origin
    return _volume(heights[(heights > 0).all(1)])


def _volume(boxes: np.ndarray) -> float:
    """Volume of the union of boxes that all have a corner at the origin; ``[N, M]`` are the opposite corners."""
    if not len(boxes):
        return 0.0
    if boxes.shape[1] == 1:
        return float(boxes.max())
    boxes = boxes[pareto_front(boxes)]
    if boxes.shape[1] == 2:
        boxes = boxes[np.argsort(-boxes[:, 0])]  # along a front the other objective then grows
        return float((boxes[:, 0] * np.diff(boxes[:, 1], prepend=0.0)).sum())
    boxes = boxes[np.argsort(-boxes[:, -1])]
    depths = boxes[:, -1] - np.append(boxes[1:, -1], 0.0)
    slices = (_volume(boxes[: count + 1, :-1]) for count, depth in enumerate(depths) if depth > 0)
    return float(sum(area * depth for area, depth in zip(slices, depths[depths > 0], strict=True)))


def _points(points: np.ndarray) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2:
        raise ValueError(f'The points must be [N, M], one row a point; found shape {points.shape}.')
    if np.isnan(points).any():
        raise ValueError('A point holds nan: a task without a valid label has no result to compare.')
    return points
