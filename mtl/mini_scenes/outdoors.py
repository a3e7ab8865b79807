"""Vehicles, houses, trees and fences."""

from __future__ import annotations

import numpy as np

from .solids import Polyhedron, Solid
from .styles import Style
from .textures import Material
from .things import UP, Thing, ball, block, drum, rod


def _wheels(width: float, stations: tuple[float, ...], radius: float, rng, style: Style) -> list[Solid]:
    tyre, hub = Material(style.colour(rng, 'dark')), Material(style.colour(rng, 'metal'), gloss=0.4)
    solids = []
    for z in stations:
        for side in (-1, 1):
            inner, outer = side * (width / 2 - 0.16), side * (width / 2 + 0.02)
            solids.append(drum((inner, radius, z), (outer, radius, z), radius, tyre))
            solids.append(drum((outer, radius, z), (outer + side * 0.012, radius, z), radius * 0.55, hub))
    return solids


def _lights(width: float, length: float, height: float) -> list[Solid]:
    white = Material(np.array([0.9, 0.88, 0.75]), glow=0.7)
    red = Material(np.array([0.7, 0.03, 0.02]), glow=0.5)
    solids = []
    for side in (-1, 1):
        x = side * (width / 2 - 0.22)
        solids.append(ball((x, height, length / 2), (0.13, 0.08, 0.05), white))
        solids.append(block((x, height - 0.06, -length / 2), (0.26, 0.12, 0.04), red))
    return solids


def car(rng: np.random.RandomState, style: Style) -> Thing:
    """A hatchback, saloon or van of 3.8 to 4.8 m that drives towards +z."""
    paint = Material(style.colour(rng, rng.choice(['vivid', 'metal', 'dark', 'paper'])), gloss=0.7)
    glass = Material(style.colour(rng, 'pane'), gloss=0.9)
    trim = Material(style.colour(rng, 'dark'))
    length, width = rng.uniform(3.8, 4.8), rng.uniform(1.65, 1.85)
    cabin, shift = rng.uniform(0.48, 0.7) * length, -rng.uniform(0.03, 0.12) * length
    waist, roof = rng.uniform(0.82, 0.98), rng.uniform(0.48, 0.75)
    cabin_at = (0, waist, shift)
    solids = [
        block((0, 0.22, 0), (width, 0.38, length), paint, top=(width, length - 0.1)),
        block((0, 0.58, 0), (width, waist - 0.58, length - 0.1), paint, top=(width * 0.94, length * 0.93)),
        block((0, 0.2, 0), (width * 0.96, 0.16, length + 0.08), trim),
        block(cabin_at, (width * 0.92, roof - 0.05, cabin), glass, top=(width * 0.76, cabin * 0.62), shift=-0.05),
        block((0, waist + roof - 0.06, shift - 0.05), (width * 0.78, 0.06, cabin * 0.66), paint),
        block((0, waist, shift), (width * 0.93, roof - 0.05, 0.12), paint, top=(width * 0.77, 0.1)),
        *_wheels(width, (-length * 0.31, length * 0.31), 0.32, rng, style),
        *_lights(width, length, 0.62),
    ]
    return Thing('car', tuple(solids))


def _coach(rng, style: Style, length, width, floor, height, colour, band) -> list[Solid]:
    """The body that bus and train share: a long box with a band of windows and doors."""
    paint = Material(colour, gloss=0.4)
    stripe = Material(style.colour(rng, band))
    glass = Material(style.colour(rng, 'pane'), gloss=0.8)
    windows = Material(style.colour(rng, 'pane'), colour, 'stripes', rng.uniform(0.9, 1.3), (0.3, 0.2, 0.3), 0.8)
    sill = floor + 0.4 * (height - floor)
    return [
        block((0, floor, 0), (width, height - floor - 0.2, length), paint),
        block((0, height - 0.2, 0), (width, 0.2, length), paint, top=(width * 0.8, length * 0.97)),
        block((0, floor + 0.15, 0), (width + 0.02, 0.22, length + 0.02), stripe),
        block((0, sill, 0), (width + 0.02, 0.32 * (height - floor), length * 0.92), windows),
        block((0, sill - 0.15, 0), (width * 0.86, 0.42 * (height - floor), length + 0.03), glass),
        *_lights(width, length + 0.02, floor + 0.45),
    ]


def bus(rng: np.random.RandomState, style: Style) -> Thing:
    """A city bus, red to yellow, with a window band."""
    length, width, height = rng.uniform(7.5, 10), 2.4, rng.uniform(2.8, 3.2)
    solids = _coach(rng, style, length, width, 0.35, height, style.colour(rng, 'bus'), 'paper')
    solids += _wheels(width, (-length * 0.3, length * 0.32), 0.48, rng, style)
    return Thing('bus', tuple(solids))


def train(rng: np.random.RandomState, style: Style) -> Thing:
    """A railway carriage, blue to green, with a sloping nose."""
    length, width, height = rng.uniform(13, 18), 2.8, rng.uniform(3.4, 3.8)
    colour = style.colour(rng, 'train')
    solids = _coach(rng, style, length, width, 0.7, height, colour, 'vivid')
    nose = Material(colour, gloss=0.4)
    dark = Material(style.colour(rng, 'dark'))
    solids += [
        block((0, 0.7, length / 2), (width, 1.3, 1.2), nose, top=(width * 0.8, 0.1), shift=-0.3),
        block((0, 0.25, 0), (width * 0.8, 0.45, length * 0.85), dark),
    ]
    return Thing('train', tuple(solids))


def boat(rng: np.random.RandomState, style: Style) -> Thing:
    """A small boat: pointed hull, cabin and perhaps mast and sail."""
    length, width, height = rng.uniform(3.5, 6.0), rng.uniform(1.5, 2.1), rng.uniform(0.7, 1.0)
    hull = Material(style.colour(rng, 'boat'), style.colour(rng, 'vivid'), 'bands', height * 0.6, (0, 0.3, 0), 0.3)
    flare, bow = 0.35, np.arctan2(width / 2, length * 0.45)
    c, s = np.cos(bow), np.sin(bow)
    tip = length / 2 * s
    planes = np.array([
        [0, -1, 0, 0], [0, 1, 0, height], [0, 0, -1, length / 2],
        [1, -flare, 0, width / 2 - flare * height], [-1, -flare, 0, width / 2 - flare * height],
        [c, -flare * c, s, tip - flare * c * height], [-c, -flare * c, s, tip - flare * c * height],
    ])  # fmt: skip
    planes /= np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    bounds = np.array([[-width / 2, 0, -length / 2], [width / 2, height, length / 2]])
    solids = [Solid(Polyhedron(planes, bounds), np.eye(3), np.zeros(3), hull)]
    cabin = Material(style.colour(rng, 'paper'), style.colour(rng, 'pane'), 'windows', 0.35, rng.rand(3))
    solids.append(block((0, height, -length * 0.15), (width * 0.6, 0.8, length * 0.32), cabin, top=(width * 0.5, 1.0)))
    if rng.rand() < 0.6:
        mast, top = Material(style.colour(rng, 'wood')), rng.uniform(3.5, 5.5)
        solids.append(drum((0, height, 0.1 * length), (0, top, 0.1 * length), 0.04, mast))
        cloth = Material(style.colour(rng, 'paper'))
        sail = block((0, height + 0.5, -0.18 * length), (0.04, top - height - 0.7, length * 0.5), cloth,
                     top=(0.03, 0.05), shift=0.24 * length)  # fmt: skip
        solids.append(sail)
    return Thing('boat', tuple(solids))


def building(rng: np.random.RandomState, style: Style, width: float, depth: float) -> Thing:
    """A house front of 6 to 16 m with rows of windows and a ledge."""
    height = rng.uniform(6, 16)
    front = style.facade(rng)
    ledge = Material(style.colour(rng, 'paving'))
    shop = Material(style.colour(rng, 'muted'), style.colour(rng, 'pane'), 'stripes', 1.3, rng.rand(3), 0.2)
    solids = (
        block((0, 0, 0), (width, height, depth), front),
        block((0, 0, 0), (width + 0.1, rng.uniform(2.4, 3.0), depth + 0.1), shop),
        block((0, height, 0), (width + 0.4, 0.4, depth + 0.4), ledge),
    )
    return Thing('building', solids, casts_shadow=False)


def tree(rng: np.random.RandomState, style: Style) -> Thing:
    """A trunk with a crown of leafy balls, 3 to 6 m."""
    bark = Material(style.colour(rng, 'wood') * 0.6, style.colour(rng, 'wood'), 'bands', 0.1)
    trunk = rng.uniform(1.4, 2.2)
    solids = [rod((0, -0.2, 0), (0, trunk + 0.5, 0), rng.uniform(0.1, 0.2), bark)]
    leaf = Material(style.colour(rng, 'leaf'), style.colour(rng, 'leaf') * 0.5, 'blotches', 0.3, rng.rand(3))
    for _ in range(5):
        offset = rng.uniform(-0.8, 0.8, 3) + (trunk + 1.2) * UP
        solids.append(ball(offset, rng.uniform(0.7, 1.2, 3), leaf))
    return Thing('tree', tuple(solids)).placed(0, 0, scale=rng.uniform(0.8, 1.4))


def fence(rng: np.random.RandomState, style: Style, length: float) -> Thing:
    """A wooden fence along x."""
    wood = style.wood(rng)
    posts = np.linspace(-length / 2, length / 2, int(length / 2) + 1)
    solids = [block((x, 0, 0), (0.12, 1.1, 0.12), wood) for x in posts]
    solids += [block((0, y, 0), (length, 0.12, 0.05), wood) for y in (0.4, 0.85)]
    return Thing('fence', tuple(solids))
