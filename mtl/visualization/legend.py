"""Legends: what a task says about its colours, drawn below its picture."""

from __future__ import annotations

import cv2
import numpy as np

from mtl.tasks.legends import ClassLegend, Legend, PictureLegend, ScaleLegend
from mtl.visualization.canvas import INK, STRIP, blank, shortened, side_by_side, stacked, text_width, write

SWATCH = 12
BAR = 12
ROWS = 4  # lines of class names; more are counted


def draw_legend(legend: Legend | None, width: int) -> np.ndarray:
    """A legend as RGB uint8 ``[H, width, 3]``; of height 0 where there is none."""
    if isinstance(legend, ClassLegend):
        return _classes(legend, width)
    if isinstance(legend, ScaleLegend):
        return _scale(legend, width)
    if isinstance(legend, PictureLegend):
        return _picture(legend, width)
    return blank(0, width)


def _classes(legend: ClassLegend, width: int) -> np.ndarray:
    """Swatches and names, flowing over lines; what does not fit into :data:`ROWS` lines is counted."""
    entries = [_entry(name, colour, width) for name, colour in zip(legend.names, legend.colours, strict=True)]
    rows: list[list[np.ndarray]] = [[]]
    used = 0
    for shown, entry in enumerate(entries):
        if rows[-1] and used + entry.shape[1] > width:
            if len(rows) == ROWS:
                rest = f'and {len(entries) - shown} more'
                while rows[-1] and used + text_width(rest) > width:
                    used -= rows[-1].pop().shape[1]
                    shown -= 1
                    rest = f'and {len(entries) - shown} more'
                note = blank(STRIP, text_width(rest) + 2)
                write(note, rest, (0, STRIP - 6))
                rows[-1].append(note)
                break
            rows.append([])
            used = 0
        rows[-1].append(entry)
        used += entry.shape[1]
    lines = [side_by_side(row, gap=0) for row in rows if row]
    return _to_width(stacked(lines, gap=0), width) if lines else blank(STRIP, width)


def _entry(name: str, colour: np.ndarray, width: int) -> np.ndarray:
    name = shortened(name, width - SWATCH - 6)
    entry = blank(STRIP, SWATCH + 6 + text_width(name) + 8)
    top = (STRIP - SWATCH) // 2
    entry[top : top + SWATCH, 1 : 1 + SWATCH] = (128, 128, 128)  # an outline, also of white
    entry[top + 1 : top + SWATCH - 1, 2:SWATCH] = colour
    write(entry, name, (SWATCH + 6, STRIP - 6))
    return entry


def _scale(legend: ScaleLegend, width: int) -> np.ndarray:
    """A bar with a tick and a number at the ends and in the middle."""
    picture = blank(BAR + STRIP + 6, width)
    left, right = 2, width - 3
    bar = cv2.resize(legend.colours[None].astype(np.uint8), (right - left + 1, BAR), interpolation=cv2.INTER_LINEAR)
    picture[4 : 4 + BAR, left : right + 1] = bar
    middle = (legend.low + legend.high) / 2
    texts = [f'{legend.low:g}', f'{middle:g}', f'{legend.high:g}{"+" * legend.beyond} {legend.unit}'.strip()]
    shares = [0.0, 0.5, 1.0]
    if sum(map(text_width, texts)) + 16 > width:
        del texts[1], shares[1]
    for text, share in zip(texts, shares, strict=True):
        x = round(left + share * (right - left))
        picture[4 + BAR : 7 + BAR, x] = INK
        start = min(max(2, x - text_width(text) // 2), width - text_width(text) - 2)
        write(picture, text, (max(0, start), BAR + STRIP + 1))
    return picture


def _picture(legend: PictureLegend, width: int) -> np.ndarray:
    text = blank(legend.picture.shape[0], max(map(text_width, legend.lines), default=1) + 8)
    for index, words in enumerate(legend.lines):
        write(text, words, (4, STRIP * (index + 1) - 2))
    shown = side_by_side([np.concatenate([blank(4, legend.picture.shape[1]), legend.picture]), text])
    return _to_width(shown, width)


def _to_width(picture: np.ndarray, width: int) -> np.ndarray:
    picture = picture[:, :width]
    return np.concatenate([picture, blank(len(picture), width - picture.shape[1])], axis=1)
