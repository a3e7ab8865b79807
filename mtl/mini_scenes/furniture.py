"""Furniture and fittings of a room."""

from __future__ import annotations

import numpy as np

from .styles import Style
from .textures import Material
from .things import Thing, ball, block, drum, rod


def _legs(width: float, depth: float, height: float, thickness: float, material: Material) -> list:
    x, z = width / 2 - thickness, depth / 2 - thickness
    return [block((sx * x, 0, sz * z), (thickness, height, thickness), material) for sx in (-1, 1) for sz in (-1, 1)]


def chair(rng: np.random.RandomState, style: Style) -> Thing:
    """A chair with four legs and a slatted or closed back."""
    wood = style.wood(rng)
    seat = style.cloth(rng, 'shirt') if rng.rand() < 0.4 else wood
    width, height, back = rng.uniform(0.4, 0.5), rng.uniform(0.42, 0.48), rng.uniform(0.4, 0.6)
    solids = [*_legs(width, width, height, 0.04, wood), block((0, height, 0), (width, 0.05, width), seat)]
    edge = -width / 2 + 0.025
    if rng.rand() < 0.5:
        solids.append(block((0, height + 0.1, edge), (width, back - 0.1, 0.035), seat))
        posts = (-1, 1)
    else:
        solids.append(block((0, height + back - 0.1, edge), (width, 0.1, 0.035), wood))
        posts = (-1, -0.33, 0.33, 1)
    solids += [block((p * (width / 2 - 0.02), height, edge), (0.03, back, 0.03), wood) for p in posts]
    return Thing('chair', tuple(solids))


def sofa(rng: np.random.RandomState, style: Style) -> Thing:
    """An armchair-to-three-seat sofa with cushions."""
    cloth, cushion = style.cloth(rng, 'sofa'), style.cloth(rng, 'sofa')
    seats = rng.randint(1, 4)
    width, depth = 0.4 + 0.6 * seats, 0.9
    solids = [
        block((0, 0.08, 0), (width, 0.28, depth), cloth),
        block((0, 0.3, -depth / 2 + 0.12), (width, 0.52, 0.24), cloth, top=(width, 0.16), shift=-0.06),
    ]
    for side in (-1, 1):
        x = side * (width / 2 - 0.1)
        solids.append(block((x, 0.1, 0), (0.2, 0.42, depth), cloth))
        solids.append(drum((x, 0.52, -depth / 2), (x, 0.52, depth / 2), 0.1, cloth))
    for seat in range(seats):
        x = (seat - (seats - 1) / 2) * 0.6
        solids.append(block((x, 0.36, 0.08), (0.58, 0.12, 0.72), cushion, top=(0.54, 0.68)))
    return Thing('sofa', tuple(solids))


def diningtable(rng: np.random.RandomState, style: Style) -> Thing:
    """A rectangular table on four legs, or a round one on a column."""
    wood, height = style.wood(rng), rng.uniform(0.68, 0.78)
    if rng.rand() < 0.35:
        radius = rng.uniform(0.45, 0.65)
        solids = [
            drum((0, height - 0.04, 0), (0, height, 0), radius, wood),
            drum((0, 0.04, 0), (0, height - 0.04, 0), 0.05, wood),
            drum((0, 0, 0), (0, 0.04, 0), radius * 0.5, wood),
        ]
    else:
        width, depth = rng.uniform(1.0, 1.7), rng.uniform(0.7, 0.9)
        solids = [
            *_legs(width, depth, height - 0.05, 0.06, wood),
            block((0, height - 0.05, 0), (width, 0.05, depth), wood),
        ]
    return Thing('diningtable', tuple(solids))


def tvmonitor(rng: np.random.RandomState, style: Style) -> Thing:
    """A flat screen on a foot, dark or showing a picture."""
    width = rng.uniform(0.6, 1.2)
    height = width * 0.6
    case = Material(style.colour(rng, 'dark'), gloss=0.3)
    if rng.rand() < 0.7:
        colours = style.colour(rng, 'vivid'), style.colour(rng, 'pane')
        screen = Material(*colours, str(rng.choice(['blotches', 'bands', 'marble'])), 0.25, rng.rand(3), 0.3, 0.9)
    else:
        screen = Material(np.array([0.012, 0.014, 0.02]), gloss=0.8)
    solids = (
        block((0, 0, 0), (width * 0.45, 0.025, 0.2), case),
        block((0, 0, 0), (0.08, 0.12, 0.04), case),
        block((0, 0.08, 0), (width, height, 0.06), case),
        block((0, 0.11, 0.035), (width - 0.06, height - 0.06, 0.002), screen),
    )
    return Thing('tvmonitor', solids)


def cabinet(rng: np.random.RandomState, style: Style) -> Thing:
    """A low cabinet with two doors, to stand things on."""
    wood, knob = style.wood(rng), Material(style.colour(rng, 'metal'))
    width, height = rng.uniform(1.0, 1.6), rng.uniform(0.45, 0.8)
    solids = [block((0, 0, 0), (width, height, 0.45), wood)]
    for side in (-1, 1):
        solids.append(block((side * width / 4, 0.06, 0.235), (width / 2 - 0.05, height - 0.1, 0.02), wood))
        solids.append(ball((side * 0.06, height * 0.6, 0.26), 0.02, knob))
    return Thing('cabinet', tuple(solids))


def shelves(rng: np.random.RandomState, style: Style) -> Thing:
    """A tall bookcase with books."""
    wood = style.wood(rng)
    width, height, boards = rng.uniform(0.7, 1.1), rng.uniform(1.5, 2.1), rng.randint(4, 6)
    solids = [block((0, 0, -0.13), (width, height, 0.03), wood)]
    solids += [block((side * width / 2, 0, 0), (0.04, height, 0.3), wood) for side in (-1, 1)]
    rise = (height - 0.05) / boards
    for board in range(boards + 1):
        solids.append(block((0, board * rise, 0), (width, 0.03, 0.3), wood))
    for board in range(boards):
        filled = rng.uniform(0.4, 0.9) * width
        cover = Material(style.colour(rng, 'vivid'), style.colour(rng, 'muted'), 'stripes', 0.05, rng.rand(3))
        x = (filled - width) / 2 + 0.03
        solids.append(block((x, board * rise + 0.03, 0), (filled, rise * rng.uniform(0.6, 0.85), 0.2), cover))
    return Thing('shelves', tuple(solids))


def bed(rng: np.random.RandomState, style: Style) -> Thing:
    """A bed with its head at the wall (-z), blanket and pillows."""
    wood, blanket, linen = style.wood(rng), style.cloth(rng, 'sofa'), Material(style.colour(rng, 'paper'))
    width = rng.choice([0.95, 1.5])
    solids = [
        block((0, 0.1, 0), (width, 0.2, 2.0), wood),
        block((0, 0, -1.0), (width, 0.9, 0.06), wood),
        block((0, 0.3, 0), (width - 0.04, 0.18, 1.96), linen),
        block((0, 0.31, 0.3), (width, 0.2, 1.4), blanket),
    ]
    for x in (-0.37, 0.37) if width > 1 else (0.0,):
        solids.append(ball((x, 0.52, -0.72), (0.3, 0.08, 0.18), linen))
    return Thing('bed', tuple(solids))


def lamp(rng: np.random.RandomState, style: Style) -> Thing:
    """A standing lamp."""
    pole = Material(style.colour(rng, 'metal'), gloss=0.4)
    shade = Material(style.colour(rng, 'paper'), glow=0.3 + style.lamp_glow)
    height = rng.uniform(1.3, 1.7)
    solids = (
        drum((0, 0, 0), (0, 0.03, 0), 0.14, pole),
        drum((0, 0, 0), (0, height, 0), 0.015, pole),
        block((0, height - 0.15, 0), (0.42, 0.3, 0.42), shade, top=(0.24, 0.24)),
    )
    return Thing('lamp', solids)


def box(rng: np.random.RandomState, style: Style) -> Thing:
    """A parcel or chest, a thing that is none of the labelled classes."""
    material = Material(style.colour(rng, rng.choice(['wood', 'vivid', 'clay'])))
    width, height, depth = rng.uniform(0.25, 0.6, 3)
    lid = Material(material.colour * 0.6)
    return Thing('box', (block((0, 0, 0), (width, height, depth), material),
                         block((0, height, 0), (width + 0.02, 0.03, depth + 0.02), lid)))  # fmt: skip


def rug(rng: np.random.RandomState, style: Style) -> Thing:
    """A rug of a centimetre's height."""
    cloth = style.cloth(rng, 'sofa')
    border = Material(style.colour(rng, 'muted'))
    width, depth = rng.uniform(1.2, 2.4, 2)
    return Thing('rug', (block((0, 0, 0), (width, 0.008, depth), border),
                         block((0, 0, 0), (width - 0.2, 0.012, depth - 0.2), cloth)))  # fmt: skip


def picture(rng: np.random.RandomState, style: Style) -> Thing:
    """A framed picture that hangs on a wall behind it (-z)."""
    frame = style.wood(rng)
    painting = Material(style.colour(rng, 'vivid'), style.colour(rng, 'muted'), 'patches', 0.5, rng.rand(3))
    width, height = rng.uniform(0.4, 1.0, 2)
    return Thing('picture', (block((0, 0, 0), (width, height, 0.04), frame),
                             block((0, 0.05, 0.01), (width - 0.1, height - 0.1, 0.04), painting)))  # fmt: skip


def window(rng: np.random.RandomState, style: Style) -> Thing:
    """A window with a cross-bar; what it shows is bright by day and deep blue at dusk."""
    frame = Material(style.colour(rng, 'paper'))
    view = Material(np.array(style.horizon), np.array(style.zenith), 'blotches', 1.0, rng.rand(3), 0.2, 0.9)
    width, height = rng.uniform(0.8, 1.6), rng.uniform(0.9, 1.3)
    return Thing('window', (
        block((0, 0, 0), (width, height, 0.05), frame),
        block((0, 0.06, 0.01), (width - 0.12, height - 0.12, 0.05), view),
        block((0, 0, 0.02), (0.05, height, 0.05), frame),
        block((0, height * 0.55, 0.02), (width, 0.05, 0.05), frame),
    ))  # fmt: skip


def door(rng: np.random.RandomState, style: Style) -> Thing:
    """A closed door with frame and handle."""
    wood, frame = style.wood(rng), Material(style.colour(rng, 'paper'))
    handle = Material(style.colour(rng, 'metal'), gloss=0.6)
    return Thing('door', (
        block((0, 0, 0), (1.0, 2.05, 0.05), frame),
        block((0, 0, 0.01), (0.86, 1.98, 0.06), wood),
        rod((0.3, 1.0, 0.07), (0.38, 1.0, 0.07), 0.02, handle),
    ))  # fmt: skip
