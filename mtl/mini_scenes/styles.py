"""The two visual styles: light, palettes, texture families and camera habits."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from .textures import Material

# Hue, saturation and value ranges of surface colours, by what is coloured. Hues wrap around 1.
_COLOURS = {
    'skin': ((0.05, 0.08), (0.35, 0.6), (0.3, 0.9)),
    'hair': ((0.04, 0.11), (0.3, 0.7), (0.04, 0.45)),
    'dark': ((0.0, 1.0), (0.0, 0.4), (0.03, 0.12)),
    'vivid': ((0.0, 1.0), (0.65, 0.95), (0.5, 0.95)),
    'muted': ((0.0, 1.0), (0.1, 0.4), (0.3, 0.7)),
    'wood': ((0.05, 0.1), (0.4, 0.7), (0.25, 0.65)),
    'leaf': ((0.22, 0.38), (0.5, 0.85), (0.2, 0.6)),
    'grass': ((0.2, 0.31), (0.45, 0.7), (0.3, 0.55)),
    'clay': ((0.02, 0.07), (0.5, 0.75), (0.4, 0.7)),
    'paper': ((0.05, 0.2), (0.02, 0.15), (0.75, 0.95)),
    'glass': ((0.15, 0.42), (0.4, 0.8), (0.12, 0.45)),
    'pane': ((0.5, 0.62), (0.2, 0.5), (0.1, 0.25)),
    'plaster': ((0.05, 0.65), (0.05, 0.3), (0.6, 0.9)),
    'brick': ((0.0, 0.06), (0.35, 0.65), (0.35, 0.6)),
    'asphalt': ((0.55, 0.7), (0.0, 0.1), (0.2, 0.35)),
    'paving': ((0.05, 0.15), (0.03, 0.2), (0.4, 0.65)),
    'metal': ((0.5, 0.7), (0.0, 0.12), (0.45, 0.75)),
    'water': ((0.5, 0.6), (0.4, 0.65), (0.2, 0.45)),
    'bus': ((0.97, 1.15), (0.75, 0.95), (0.6, 0.95)),
    'train': ((0.4, 0.68), (0.45, 0.85), (0.25, 0.6)),
    'boat': ((0.5, 0.65), (0.0, 0.3), (0.7, 0.95)),
    'sofa': ((0.0, 1.0), (0.3, 0.6), (0.25, 0.6)),
    'dog': ((0.06, 0.11), (0.4, 0.75), (0.2, 0.7)),
    'cat': ((0.05, 0.12), (0.1, 0.8), (0.15, 0.75)),
    'cow': ((0.03, 0.07), (0.4, 0.7), (0.1, 0.4)),
    'horse': ((0.03, 0.08), (0.5, 0.75), (0.15, 0.45)),
    'sheep': ((0.1, 0.15), (0.05, 0.15), (0.75, 0.95)),
}


@dataclass(frozen=True)
class Style:
    """Everything that sets one visual domain apart; both share the labels.

    Attributes:
        name: key in ``STYLES``.
        sun: linear RGB of the light.
        sun_elevation: range in degrees.
        ambient: linear RGB of the light from above, and from below.
        zenith, horizon: linear RGB of the sky.
        haze: share of the sky's colour mixed in a metre of distance.
        exposure: range of the factor on the light that reaches the sensor.
        noise: standard deviation of the sensor's noise (of 1).
        blur: standard deviation of the lens blur in pixels.
        field_of_view: range in degrees, across.
        eye_height: range in metres.
        hue_shift, saturation: how surface colours differ from the shared table.
        wall_patterns, floor_patterns, cloth_patterns: texture families.
        clutter: how many things are tried per scene, a range.
        lamp_glow: added to the light of lamp shades.
    """

    name: str
    sun: tuple[float, float, float]
    sun_elevation: tuple[float, float]
    ambient: tuple[tuple[float, float, float], tuple[float, float, float]]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    haze: float
    exposure: tuple[float, float]
    noise: float
    blur: float
    field_of_view: tuple[float, float]
    eye_height: tuple[float, float]
    hue_shift: float
    saturation: float
    wall_patterns: tuple[str, ...]
    floor_patterns: tuple[str, ...]
    cloth_patterns: tuple[str, ...]
    clutter: tuple[int, int]
    lamp_glow: float

    def colour(self, rng: np.random.RandomState, kind: str) -> np.ndarray:
        """A random linear RGB reflectance ``[3]`` of one kind of surface."""
        hue, saturation, value = (rng.uniform(*span) for span in _COLOURS[kind])
        rgb = colorsys.hsv_to_rgb((hue + self.hue_shift) % 1, min(1.0, saturation * self.saturation), value)
        return np.array(rgb) ** 2.2

    def _patterned(self, rng, kind, patterns, second=None, period=(0.08, 0.3), gloss=0.0) -> Material:
        colour = self.colour(rng, kind)
        other = self.colour(rng, second) if second else colour * rng.uniform(0.45, 0.8)
        return Material(colour, other, str(rng.choice(patterns)), rng.uniform(*period), rng.uniform(0, 1, 3), gloss)

    def cloth(self, rng: np.random.RandomState, garment: str) -> Material:
        """Fabric of a ``shirt`` (often vivid), ``trousers`` (mostly muted) or ``sofa``."""
        kind = {'shirt': rng.choice(['vivid', 'muted', 'paper']), 'trousers': rng.choice(['muted', 'dark'])}
        patterns = self.cloth_patterns if garment != 'trousers' else ('plain', 'blotches')
        return self._patterned(rng, kind.get(garment, garment), patterns)

    def coat(self, rng: np.random.RandomState, breed: str) -> Material:
        """Fur with the pattern typical of the breed."""
        patterns = {'cow': ('patches',), 'sheep': ('blotches',), 'cat': ('bands', 'plain', 'patches')}
        second = {'cow': 'paper', 'cat': 'paper' if rng.rand() < 0.4 else None}.get(breed)
        period = {'cow': 0.9, 'sheep': 0.12, 'cat': 0.07}.get(breed, 0.4)
        return self._patterned(rng, breed, patterns.get(breed, ('plain', 'blotches')), second, (period, 1.5 * period))

    def wall(self, rng: np.random.RandomState) -> Material:
        """The walls of a room."""
        return self._patterned(rng, 'plaster', self.wall_patterns, period=(0.15, 0.5))

    def floor(self, rng: np.random.RandomState) -> Material:
        """The floor of a room."""
        kind = str(rng.choice(['wood', 'paving', 'muted']))
        return self._patterned(rng, kind, self.floor_patterns, period=(0.15, 0.45), gloss=0.1)

    def wood(self, rng: np.random.RandomState) -> Material:
        """Furniture wood."""
        return self._patterned(rng, 'wood', ('marble', 'plain', 'planks'), period=(0.1, 0.25), gloss=0.1)

    def facade(self, rng: np.random.RandomState) -> Material:
        """A house front with windows."""
        kind = str(rng.choice(['brick', 'plaster', 'paving', 'muted']))
        return Material(self.colour(rng, kind), self.colour(rng, 'pane'), 'windows', rng.uniform(0.9, 1.4),
                        rng.uniform(0, 1, 3))  # fmt: skip


STYLES = {
    'day': Style(
        name='day',
        sun=(1.25, 1.18, 1.02),
        sun_elevation=(35, 65),
        ambient=((0.42, 0.47, 0.55), (0.22, 0.2, 0.18)),
        zenith=(0.16, 0.36, 0.78),
        horizon=(0.68, 0.8, 0.92),
        haze=0.004,
        exposure=(0.85, 1.2),
        noise=0.012,
        blur=0.45,
        field_of_view=(50, 68),
        eye_height=(1.3, 1.8),
        hue_shift=0.0,
        saturation=1.0,
        wall_patterns=('plain', 'stripes', 'tiles', 'bricks'),
        floor_patterns=('planks', 'checks', 'tiles'),
        cloth_patterns=('plain', 'stripes', 'bands', 'checks'),
        clutter=(6, 11),
        lamp_glow=0.0,
    ),
    'dusk': Style(
        name='dusk',
        sun=(1.15, 0.62, 0.3),
        sun_elevation=(12, 30),
        ambient=((0.2, 0.22, 0.36), (0.12, 0.1, 0.12)),
        zenith=(0.05, 0.07, 0.22),
        horizon=(0.85, 0.4, 0.2),
        haze=0.012,
        exposure=(0.9, 1.35),
        noise=0.03,
        blur=0.65,
        field_of_view=(40, 58),
        eye_height=(0.9, 1.5),
        hue_shift=0.03,
        saturation=0.75,
        wall_patterns=('marble', 'blotches', 'dots', 'bands'),
        floor_patterns=('marble', 'blotches', 'dots', 'stripes'),
        cloth_patterns=('plain', 'dots', 'blotches', 'marble'),
        clutter=(8, 14),
        lamp_glow=1.6,
    ),
}
