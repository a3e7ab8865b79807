"""People and four-legged animals, built of capsules and ellipsoids."""

from __future__ import annotations

import numpy as np

from .styles import Style
from .textures import Material
from .things import UP, Thing, ball, block, drum, rod


def _limb(start, lengths, swing, bend, spread, radii, materials, parts):
    """Two capsules in a chain hanging down from ``start``; returns them with the free end.

    Angles in radians: ``swing`` turns the limb forward (towards z), ``bend`` turns the lower half further, ``spread``
    leads it sideways (towards +x).
    """
    solids, point = [], np.asarray(start, float)
    for length, angle, radius, material, part in zip(
        lengths, (swing, swing + bend), radii, materials, parts, strict=True
    ):
        step = np.array([np.sin(spread), -np.cos(angle) * np.cos(spread), np.sin(angle) * np.cos(spread)])
        solids.append(rod(point, point + length * step, radius, material, part))
        point = point + length * step
    return solids, point


def person(rng: np.random.RandomState, style: Style) -> Thing:
    """A person of 1.2 to 1.95 m, standing, walking, sitting on nothing in particular or waving."""
    skin = Material(style.colour(rng, 'skin'))
    hair = Material(style.colour(rng, 'hair'))
    shirt, trousers = style.cloth(rng, 'shirt'), style.cloth(rng, 'trousers')
    shoe = Material(style.colour(rng, 'dark'))
    long_sleeves, long_trousers = rng.rand() < 0.5, rng.rand() < 0.75
    build = rng.uniform(0.85, 1.2)
    pose = rng.choice(['stand', 'walk', 'wave', 'crouch'], p=[0.35, 0.35, 0.2, 0.1])
    stride = {'stand': rng.uniform(0, 0.12), 'walk': rng.uniform(0.3, 0.6), 'wave': 0.1, 'crouch': 0.25}[pose]
    crouch = 0.9 if pose == 'crouch' else 0.0

    head = [
        ball((0, 0.925, 0.005), (0.052, 0.07, 0.06), skin, 'head'),
        ball((0, 0.945, -0.014), (0.057, 0.063, 0.06), hair, 'hair'),
        ball((-0.02, 0.935, 0.058), 0.009, shoe, 'leye'),
        ball((0.02, 0.935, 0.058), 0.009, shoe, 'reye'),
        ball((0, 0.915, 0.066), 0.011, skin, 'nose'),
        rod((0, 0.81, 0), (0, 0.87, 0), 0.028, skin, 'neck'),
    ]
    if rng.rand() < 0.35:
        head.append(rod((0, 0.93, -0.04), (0, 0.84, -0.055), 0.042, hair, 'hair'))
    chest = [
        rod((0, 0.55, 0), (0, 0.76, 0), 0.088 * build, shirt, 'torso', flatten=0.72),
        rod((-0.085 * build, 0.785, 0), (0.085 * build, 0.785, 0), 0.04, shirt, 'torso'),
        rod((-0.03, 0.5, 0), (0.03, 0.5, 0), 0.075 * build, trousers, 'torso', flatten=0.95),
    ]
    limbs = []
    for side, letter in ((-1, 'l'), (1, 'r')):
        phase = side * stride
        arm_swing, arm_bend, arm_spread = -0.8 * phase, rng.uniform(0.1, 0.7), rng.uniform(0.08, 0.35)
        if pose == 'wave' and side == 1:
            arm_swing, arm_bend, arm_spread = rng.uniform(1.6, 2.9), rng.uniform(-0.2, 0.6), rng.uniform(0.1, 0.5)
        arm, wrist = _limb(
            (side * 0.12 * build, 0.785, 0),
            (0.155, 0.135),
            arm_swing,
            arm_bend,
            side * arm_spread,
            (0.034 * build, 0.027 * build),
            (shirt, shirt if long_sleeves else skin),
            (f'{letter}uarm', f'{letter}larm'),
        )
        leg, ankle = _limb(
            (side * 0.052 * build, 0.5, 0),
            (0.235, 0.225),
            phase + 1.1 * crouch,
            -abs(phase) * rng.uniform(0.2, 0.9) - 1.9 * crouch,
            side * rng.uniform(0.02, 0.12),
            (0.054 * build, 0.04 * build),
            (trousers, trousers if long_trousers else skin),
            (f'{letter}uleg', f'{letter}lleg'),
        )
        hand = ball(wrist + np.array([0, -0.02, 0.005]), (0.024, 0.032, 0.026), skin, f'{letter}hand')
        foot = rod(
            ankle - np.array([0, 0.02, 0.01]),
            ankle + np.array([side * 0.012, -0.025, 0.085]),
            0.028,
            shoe,
            f'{letter}foot',
        )
        limbs += [*arm, hand, *leg, foot]
    return _stand(Thing('person', tuple(head + chest + limbs)), rng.uniform(1.45, 1.95) * rng.choice([1, 1, 1, 0.75]))


def _stand(thing: Thing, scale: float) -> Thing:
    """The thing scaled and lifted or lowered until its lowest point touches the ground."""
    lowest = min(solid.corners()[1].min() for solid in thing.solids)
    return thing.placed(0, 0, y=-lowest * scale, scale=scale)


# Shoulder height in metres; the other lengths in shoulder heights: body length and thickness, leg thickness, neck
# length, head length and thickness, ear length, tail length.
_BREEDS = {
    'dog': (0.55, 0.95, 0.19, 0.055, 0.3, 0.3, 0.13, 0.16, 0.5),
    'cat': (0.32, 1.15, 0.19, 0.06, 0.2, 0.2, 0.17, 0.14, 0.9),
    'cow': (1.4, 1.15, 0.27, 0.06, 0.25, 0.32, 0.12, 0.14, 0.6),
    'horse': (1.6, 1.0, 0.21, 0.048, 0.44, 0.34, 0.115, 0.1, 0.6),
    'sheep': (0.75, 1.0, 0.31, 0.055, 0.2, 0.24, 0.12, 0.13, 0.2),
}


def animal(rng: np.random.RandomState, style: Style, breed: str) -> Thing:
    """A dog, cat, cow, horse or sheep with its category's proportions and coat."""
    shoulder, length, thick, leg_thick, neck, head, head_thick, ear, tail = _BREEDS[breed]
    coat = style.coat(rng, breed)
    dark = Material(style.colour(rng, 'dark'))
    face = dark if breed == 'sheep' else coat
    legs_material = dark if breed in ('sheep', 'cow') and rng.rand() < 0.6 else coat
    back, half = 1.0 - thick, length / 2 - thick * 0.6
    solids = [rod((0, back, -half), (0, back + rng.uniform(-0.03, 0.03), half), thick, coat)]
    for side in (-1, 1):
        for end in (-1, 1):
            hip = (side * thick * 0.6, back - 0.3 * thick, end * half)
            leg, _ = _limb(
                hip,
                (0.42, back - 0.3 * thick - 0.42),
                rng.uniform(-0.3, 0.3),
                rng.uniform(-0.15, 0.15),
                0.0,
                (leg_thick * 1.35, leg_thick),
                (coat, legs_material),
                ('', ''),
            )
            solids += leg
    lift = rng.uniform(0.35, 1.0) if breed != 'sheep' else rng.uniform(0.1, 0.6)
    throat = np.array([0, back + 0.4 * thick, half + 0.4 * thick])
    crown = throat + neck * np.array([0, np.sin(lift), np.cos(lift)])
    droop = rng.uniform(-0.6, 0.0)
    muzzle = crown + 0.7 * head * np.array([rng.uniform(-0.25, 0.25), np.sin(droop), np.cos(droop)])
    solids += [
        rod(throat - [0, 0.1, 0.1], crown, head_thick * 1.05, coat),
        rod(crown, muzzle, head_thick * 0.85, face),
        ball(crown, head_thick * 1.2, face),
        ball(muzzle + np.array([0, 0.1 * head, 0.5 * head_thick]), head_thick * 0.5, dark),
    ]
    for side in (-1, 1):
        root = crown + head_thick * np.array([side * 0.9, 0.8, 0])
        tip = root + ear * np.array([side * (0.25 if breed == 'cat' else 0.7), 0.8 if breed != 'dog' else -0.3, 0])
        solids.append(rod(root, tip, head_thick * 0.3, face))
    if breed == 'horse':
        nape = np.array([0.0, 0.0, -head_thick])
        solids.append(rod(throat + nape, crown + nape, 0.05, dark))
    rump = np.array([0, back + 0.4 * thick, -half - 0.7 * thick])
    rise = rng.uniform(0.2, 1.2) if breed in ('dog', 'cat') else rng.uniform(-1.3, -0.9)
    solids.append(
        rod(
            rump,
            rump + tail * np.array([0, np.sin(rise), -np.cos(rise)]),
            leg_thick * 0.8,
            dark if breed == 'horse' else coat,
        )
    )
    return _stand(Thing(breed, tuple(solids)), shoulder * rng.uniform(0.85, 1.15))


def bottle(rng: np.random.RandomState, style: Style) -> Thing:
    """A bottle of 0.25 to 0.35 m with a label."""
    glass = Material(style.colour(rng, 'glass'), gloss=0.6)
    label = Material(style.colour(rng, 'paper'))
    cap = Material(style.colour(rng, 'vivid'))
    solids = (
        drum((0, 0, 0), (0, 0.18, 0), 0.04, glass),
        drum((0, 0.05, 0), (0, 0.13, 0), 0.0415, label),
        ball((0, 0.18, 0), (0.04, 0.045, 0.04), glass),
        drum((0, 0.2, 0), (0, 0.28, 0), 0.015, glass),
        drum((0, 0.275, 0), (0, 0.3, 0), 0.018, cap),
    )
    return Thing('bottle', solids).placed(0, 0, scale=rng.uniform(0.9, 1.2))


def pottedplant(rng: np.random.RandomState, style: Style) -> Thing:
    """A tapered pot with a bush of leaves or with long rising leaves, 0.5 to 1.6 m."""
    pot = Material(style.colour(rng, 'clay'), style.colour(rng, 'paper'), rng.choice(['plain', 'bands']), 0.12)
    leaf = [Material(style.colour(rng, 'leaf'), style.colour(rng, 'leaf'), 'blotches', 0.1) for _ in range(3)]
    solids = [block((0, 0, 0), (0.26, 0.3, 0.26), pot, top=(0.36, 0.36))]
    if rng.rand() < 0.5:
        for _ in range(9):
            azimuth, lean = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.75)
            tip = np.array([np.sin(azimuth) * np.sin(lean), np.cos(lean), np.cos(azimuth) * np.sin(lean)])
            solids.append(
                rod((0, 0.3, 0), np.array([0, 0.3, 0]) + rng.uniform(0.5, 0.8) * tip, 0.03, leaf[rng.randint(3)])
            )
    else:
        solids.append(rod((0, 0.3, 0), (0, 0.55, 0), 0.025, Material(style.colour(rng, 'wood'))))
        for _ in range(6):
            offset = rng.uniform(-0.16, 0.16, 3) + 0.68 * UP
            solids.append(ball(offset, rng.uniform(0.1, 0.19, 3), leaf[rng.randint(3)]))
    return Thing('pottedplant', tuple(solids)).placed(0, 0, scale=rng.uniform(0.7, 1.5))
