"""The small set of marks that panels and legends are made of. Pictures are RGB uint8 ``[H, W, 3]``."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

GAP = 4
STRIP = 20  # height of a line of text
PAPER = (255, 255, 255)
INK = (32, 32, 32)
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42


def blank(height: int, width: int) -> np.ndarray:
    """White paper."""
    return np.full((height, width, 3), PAPER, np.uint8)


def write(canvas: np.ndarray, text: str, origin: tuple[int, int]) -> None:
    """Write a line whose lower left corner is ``origin`` ``(x, y)``."""
    cv2.putText(canvas, text, origin, FONT, FONT_SCALE, INK, 1, cv2.LINE_AA)


def text_width(text: str) -> int:
    """Pixels that :func:`write` takes."""
    return cv2.getTextSize(text, FONT, FONT_SCALE, 1)[0][0]


def shortened(text: str, width: int) -> str:
    """``text``, its end replaced by dots where it is wider than ``width`` pixels."""
    if text_width(text) <= width:
        return text
    while text and text_width(f'{text}..') > width:
        text = text[:-1]
    return f'{text}..'


def line(text: str, width: int) -> np.ndarray:
    """A strip with a line of text."""
    strip = blank(STRIP, width)
    write(strip, shortened(text, width - 3), (3, STRIP - 6))
    return strip


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize to ``(height, width)``, averaging where it shrinks so that thin boundaries do not vanish."""
    height, width = size
    smaller = height < picture.shape[0] or width < picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_NEAREST)


def absent(text: str, size: tuple[int, int]) -> np.ndarray:
    """A grey tile with diagonal hatching and a word, for what does not exist."""
    rows, columns = np.indices(size)
    shades = np.where((rows + columns) % 16 < 2, 160, 205).astype(np.uint8)
    tile = np.repeat(shades[..., None], 3, axis=2)
    write(tile, text, (8, size[0] // 2))
    return tile


def lower(picture: np.ndarray, height: int) -> np.ndarray:
    """Paper below the picture, up to ``height``."""
    return np.concatenate([picture, blank(height - len(picture), picture.shape[1])])


def side_by_side(pictures: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """In a row, upper edges aligned."""
    height = max(len(picture) for picture in pictures)
    parts = [part for picture in pictures for part in (lower(picture, height), blank(height, gap))]
    return np.concatenate(parts[:-1], axis=1)


def stacked(pictures: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """One below the other, left edges aligned."""
    width = max(picture.shape[1] for picture in pictures)
    wide = [np.concatenate([p, blank(len(p), width - p.shape[1])], axis=1) for p in pictures]
    return np.concatenate([part for picture in wide for part in (picture, blank(gap, width))][:-1])
