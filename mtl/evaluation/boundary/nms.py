"""Non-maximum suppression of boundary strengths (Dollar and Zitnick, "Fast edge detection using structured forests",
TPAMI 2015; used by HED and by the SEISM evaluation of multi-task work)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import convolve1d, map_coordinates

_MARGIN = 5  # pixels over which strengths fade out towards the border
_ADVANTAGE = 1.01  # a neighbour must be stronger by this factor to suppress


def triangle_blur(strength: np.ndarray, radius: int) -> np.ndarray:
    """Convolution of ``[H, W]`` with a triangle of ``2 radius + 1`` pixels along both axes, mirrored at the border."""
    kernel = radius + 1 - np.abs(np.arange(-radius, radius + 1, dtype=np.float64))
    kernel /= kernel.sum()
    return convolve1d(convolve1d(strength, kernel, axis=0, mode='reflect'), kernel, axis=1, mode='reflect')


def normal_angle(strength: np.ndarray) -> np.ndarray:
    """Direction ``[H, W]`` across the ridge in radians, in ``[0, pi)`` from the x axis (y down), of ``[H, W]``.

    From the second derivatives of the map after a triangle blur of radius 4, by the published formula. On a straight
    ridge with normal angle ``t`` it gives ``atan(tan(t)^2)`` with the sign of ``t``: right at 0, 45 and 90 degrees, up
    to 12 degrees off in between. Kept, because published scores were computed with it.
    """
    along_y, along_x = np.gradient(triangle_blur(strength, 4))
    yy, xy = np.gradient(along_y)
    xx = np.gradient(along_x, axis=1)
    return np.mod(np.arctan(yy * np.sign(-xy) / (xx + 1e-5)), np.pi)


def suppress(strength: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Zero where one of the two neighbours a pixel away across the ridge, interpolated bilinearly, is stronger.

    Args:
        strength: ``[H, W]``.
        angle: :func:`normal_angle`.
    """
    height, width = strength.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    keep = np.ones(strength.shape, bool)
    for side in (-1, 1):
        across = np.stack([y + side * np.sin(angle), x + side * np.cos(angle)])
        keep &= strength * _ADVANTAGE >= map_coordinates(strength, across, order=1, mode='nearest')
    return strength * keep * np.outer(_fade(height), _fade(width))


def _fade(length: int) -> np.ndarray:
    """Factor by position: 0 at the ends, 1 from ``_MARGIN`` pixels on."""
    margin = max(1, min(_MARGIN, length // 2))
    position = np.arange(length)
    return np.minimum(1.0, np.minimum(position, position[::-1]) / margin)


def non_maximum_suppression(strength: np.ndarray) -> np.ndarray:
    """Thin ridges of the boundary strengths ``[H, W]`` in [0, 1]."""
    smooth = triangle_blur(np.asarray(strength, np.float64), 1)
    return suppress(smooth, normal_angle(smooth))
