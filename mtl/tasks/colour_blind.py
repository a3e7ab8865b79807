"""Class colours that people with a colour vision deficiency can tell apart, too."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

# How dichromats see linear RGB: Machado et al., "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", 2009, severity 1.0.
DEFICIENCIES = {
    'protanopia': np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    'deuteranopia': np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    'tritanopia': np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
LEVELS = 9  # candidates per channel


def as_seen(colours: np.ndarray, deficiency: str | None = None) -> np.ndarray:
    """CIELAB coordinates ``[N, 3]`` of sRGB ``colours`` ``[N, 3]`` (0..255) as someone with a ``deficiency`` sees them.

    Args:
        colours: sRGB.
        deficiency: a key of :data:`DEFICIENCIES`; ``None`` for full colour vision.
    """
    srgb = np.asarray(colours, np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    if deficiency is not None:
        linear = (linear @ DEFICIENCIES[deficiency].T).clip(0, 1)
    seen = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(seen.astype(np.float32)[None], cv2.COLOR_RGB2Lab)[0]


@lru_cache(maxsize=8)
def _ordered(count: int) -> np.ndarray:
    steps = np.linspace(0, 255, LEVELS).round()
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing='ij'), axis=-1).reshape(-1, 3)
    views = np.stack([as_seen(candidates, deficiency) for deficiency in (None, *DEFICIENCIES)])
    chosen = [0]  # black
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < count:
        distances = np.linalg.norm(views - views[:, chosen[-1], None], axis=-1).min(axis=0)
        nearest = np.minimum(nearest, distances)
        chosen.append(int(nearest.argmax()))
    return candidates[chosen].astype(np.uint8)


def colour_blind_safe_palette(count: int) -> np.ndarray:
    """``count`` colours, ``[count, 3]`` uint8 RGB, the first black; each is the one farthest from those before it.

    Far is the smallest CIELAB distance over full colour vision and the three kinds of dichromacy. More colours are
    therefore harder to tell apart: the legend, which names the classes that occur, stays useful.
    """
    return _ordered(count).copy()
