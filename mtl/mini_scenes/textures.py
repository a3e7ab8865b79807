"""Procedural surface colours: two colours mixed by a pattern of the position on the solid."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# Directions of the plane waves whose sum makes every smooth random texture (1 / metre at scale 1).
_WAVES = np.random.RandomState(0).normal(size=(5, 3)) * np.array([[1.0], [1.4], [2.1], [3.1], [4.3]])


def _waves(p: np.ndarray) -> np.ndarray:
    return np.sin(_WAVES @ p * 1.7 + np.arange(5)[:, None]).sum(0)


def _cell(p: np.ndarray) -> np.ndarray:
    return p - np.floor(p)


def _bricks(p: np.ndarray) -> np.ndarray:
    # On an axis-aligned face only one of x and z varies, so their sum runs along the face whichever it is.
    along, up = (p[0] + p[2]) / 2, p[1]
    along = along + 0.5 * (np.floor(up) % 2)
    return ((_cell(along) < 0.06) | (_cell(up) < 0.12)).astype(float)


def _planks(p: np.ndarray) -> np.ndarray:
    row = np.floor(p[0])
    tone = 0.5 + 0.5 * np.sin(row * 12.9898)
    return np.where(_cell(p[0]) < 0.06, 1.0, 0.45 * tone + 0.12 * np.sin(9 * p[0] + np.sin(3 * p[2])))


def _windows(p: np.ndarray) -> np.ndarray:
    along, up = _cell((p[0] + p[2]) / 2), _cell(p[1] / 3)
    return ((along > 0.25) & (along < 0.75) & (up > 0.3) & (up < 0.78)).astype(float)


PATTERNS = {
    'plain': lambda p: np.zeros(p.shape[1]),
    'checks': lambda p: np.floor(p).sum(0) % 2,
    'tiles': lambda p: (_cell(p) < 0.05).any(0).astype(float),
    'stripes': lambda p: np.floor(p[0] + p[2]) % 2,
    'bands': lambda p: np.floor(p[1]) % 2,
    'bricks': _bricks,
    'planks': _planks,
    'windows': _windows,
    'dots': lambda p: (((_cell(p) - 0.5) ** 2).sum(0) < 0.14).astype(float),
    'blotches': lambda p: 0.5 + 0.16 * _waves(p),
    'patches': lambda p: (_waves(p) > 0.4).astype(float),
    'marble': lambda p: 0.5 + 0.5 * np.sin(4 * p[0] + 3 * p[1] + 1.2 * _waves(p)),
}


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Args:
        colour: linear RGB reflectance in 0..1.
        second: the other colour of the pattern.
        pattern: a key of ``PATTERNS``.
        period: metres a pattern cell.
        phase: ``[3]`` shift of the pattern in cells.
        gloss: strength of the highlight.
        glow: light the surface gives off itself, as a factor on its colour.
    """

    colour: np.ndarray
    second: np.ndarray | None = None
    pattern: str = 'plain'
    period: float = 0.3
    # Off the lattice, so that no face of a box lies on a border of cells.
    phase: np.ndarray = field(default_factory=lambda: np.full(3, 0.37))
    gloss: float = 0.0
    glow: float = 0.0

    def reflectance(self, coordinates: np.ndarray) -> np.ndarray:
        """Colour ``[3, N]`` at texture coordinates ``[3, N]`` in metres."""
        colour = np.asarray(self.colour, dtype=float)[:, None]
        if self.pattern == 'plain' or self.second is None:
            return np.broadcast_to(colour, coordinates.shape)
        mix = PATTERNS[self.pattern](coordinates / self.period + np.asarray(self.phase)[:, None])
        return colour + (np.asarray(self.second, dtype=float)[:, None] - colour) * np.clip(mix, 0, 1)
