"""What the colours of a task's picture mean. A task says it, :mod:`mtl.visualization` draws it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ClassLegend:
    """One colour a class.

    Args:
        names: class names.
        colours: ``[len(names), 3]`` uint8 RGB.
    """

    names: tuple[str, ...]
    colours: np.ndarray


@dataclass(frozen=True)
class ScaleLegend:
    """A colour scale.

    Args:
        colours: ``[K, 3]`` uint8 RGB, evenly spaced from ``low`` to ``high``.
        low, high: values at the two ends.
        unit: of the values; empty for none.
        beyond: the picture holds values above ``high``, drawn like ``high``.
    """

    colours: np.ndarray
    low: float
    high: float
    unit: str = ''
    beyond: bool = False


@dataclass(frozen=True)
class PictureLegend:
    """A small picture that shows what the colours mean.

    Args:
        picture: ``[H, W, 3]`` uint8 RGB.
        lines: what stands beside it.
    """

    picture: np.ndarray
    lines: tuple[str, ...]


Legend = ClassLegend | ScaleLegend | PictureLegend
