"""The places that scenes play in: a room, a street, a meadow, a harbour."""

from __future__ import annotations

import numpy as np

from .catalogue import build, draw
from .outdoors import building, fence
from .room import room
from .stage import Scene, sun, view
from .styles import Style
from .textures import Material
from .things import Thing, block, ground

_IN_THE_STREET = dict(
    person=0.34, car=0.26, bus=0.1, dog=0.07, pottedplant=0.07, tree=0.05, chair=0.05, train=0.04, bottle=0.02
)
_IN_THE_MEADOW = dict(person=0.22, cow=0.19, sheep=0.19, horse=0.16, dog=0.1, car=0.07, tree=0.04, box=0.03)
_ON_THE_QUAY = dict(person=0.44, dog=0.12, chair=0.12, cat=0.1, pottedplant=0.1, bottle=0.06, box=0.06)


def _paving(rng, style: Style) -> Material:
    pattern, period = str(rng.choice(style.floor_patterns)), rng.uniform(0.3, 0.8)
    return Material(style.colour(rng, 'paving'), style.colour(rng, 'paving') * 0.6, pattern, period, rng.rand(3))


def street(rng: np.random.RandomState, style: Style) -> Scene:
    """A road between houses with cars, buses, trams (labelled train) and people."""
    road = rng.uniform(3.2, 4.5)
    walk = road + rng.uniform(2.0, 3.2)
    eye_x = rng.uniform(-0.8, 0.8) * walk
    yaw, pitch = rng.normal(0, 0.2) - 0.04 * eye_x, rng.uniform(-0.03, 0.15)
    scene = view(rng, style, (eye_x, rng.uniform(*style.eye_height) + 0.15, 0.0), yaw, pitch)
    scene.light = sun(rng, style)
    asphalt = Material(style.colour(rng, 'asphalt'), style.colour(rng, 'asphalt'), 'blotches', 0.5, rng.rand(3))
    scene.add(Thing('road', (ground(0, asphalt),), casts_shadow=False))
    slabs = _paving(rng, style)
    curbs = [block((side * (road + 10), 0, 60), (20, 0.12, 160), slabs) for side in (-1, 1)]
    scene.add(Thing('sidewalk', tuple(curbs), casts_shadow=False))
    for side in (-1, 1):
        z = rng.uniform(-8, -2)
        while z < 70:
            length = rng.uniform(6, 14)
            scene.add(building(rng, style, 8.0, length).placed(side * (walk + 4.0), z + length / 2))
            alley = rng.uniform(1.5, 5) if rng.rand() < 0.3 else 0.0
            z += length + alley

    def on_road(x, z, radius):
        return abs(x) < road - 0.7 and np.hypot(x - eye_x, z) > radius + 1.5

    def on_walk(x, z, radius):
        return road + 0.2 < abs(x) < walk - 0.25

    def anywhere(x, z, radius):
        return abs(x) < walk - 0.3

    for _ in range(rng.randint(*style.clutter)):
        name = draw(rng, _IN_THE_STREET)
        thing = build(rng, style, name)
        if name in ('car', 'bus', 'train'):
            along = rng.choice([0, np.pi]) + rng.normal(0, 0.06)
            scene.scatter(rng, thing, 4 + thing.footprint(), 32, on_road, yaw=along)
        elif name == 'person':
            scene.scatter(rng, thing, 2.2, 16, anywhere, y=0.06)
        else:
            scene.scatter(rng, thing, 2.2, 6 if name == 'bottle' else 18, on_walk, y=0.12)
    return scene


def meadow(rng: np.random.RandomState, style: Style) -> Scene:
    """Grass with animals, people, trees and a fence; now and then a train passes behind."""
    scene = view(rng, style, (0, rng.uniform(*style.eye_height), 0), rng.normal(0, 0.3), rng.uniform(-0.02, 0.16))
    scene.light = sun(rng, style)
    tone, period = style.colour(rng, 'grass'), rng.uniform(0.15, 0.6)
    grass = Material(tone, style.colour(rng, 'grass') * 0.7, 'blotches', period, rng.rand(3))
    scene.add(Thing('grass', (ground(0, grass),), casts_shadow=False))
    for _ in range(rng.randint(8, 16)):
        scene.add(build(rng, style, 'tree').placed(rng.uniform(-40, 40), rng.uniform(33, 45), scale=1.5))
    if rng.rand() < 0.6:
        scene.add(fence(rng, style, 40.0).placed(0, rng.uniform(14, 24), yaw=rng.uniform(-0.2, 0.2)))
    if rng.rand() < 0.35:
        scene.add(build(rng, style, 'train').placed(rng.uniform(-8, 8), 29, yaw=np.pi / 2 * rng.choice([-1, 1])))

    def anywhere(x, z, radius):
        return z < 24

    for _ in range(rng.randint(*style.clutter)):
        name = draw(rng, _IN_THE_MEADOW)
        nearest = {'car': 6.0, 'tree': 7.0, 'dog': 2.0}.get(name, 2.8)
        scene.scatter(rng, build(rng, style, name), nearest, 12 if name == 'dog' else 20, anywhere)
    return scene


def harbour(rng: np.random.RandomState, style: Style) -> Scene:
    """A quay with people and dogs before water with boats."""
    edge = rng.uniform(4.0, 7.0)
    eye = (0, rng.uniform(*style.eye_height) + 0.6, 0)
    scene = view(rng, style, eye, rng.normal(0, 0.25), rng.uniform(0.02, 0.18))
    scene.light = sun(rng, style)
    ripple = Material(style.colour(rng, 'water'), style.colour(rng, 'water') * 1.5, 'marble', 0.8, rng.rand(3), 0.35)
    scene.add(Thing('water', (ground(-1.0, ripple),), casts_shadow=False))
    quay = block((0, -3, edge - 20), (200, 3, 40), _paving(rng, style))
    scene.add(Thing('sidewalk', (quay,), casts_shadow=False))

    def afloat(x, z, radius):
        return z > edge + 0.6 * radius + 0.6

    def ashore(x, z, radius):
        return z < edge - 0.3

    for _ in range(rng.randint(2, 6)):
        sideways = np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.5)
        scene.scatter(rng, build(rng, style, 'boat'), edge + 1.5, 26, afloat, y=-1.15, yaw=sideways)
    for _ in range(rng.randint(*style.clutter) // 2):
        scene.scatter(rng, build(rng, style, draw(rng, _ON_THE_QUAY)), 1.8, edge, ashore)
    return scene


PLACES = {'room': room, 'street': street, 'meadow': meadow, 'harbour': harbour}
_SHARES = dict(room=0.4, street=0.3, meadow=0.18, harbour=0.12)


def random_scene(rng: np.random.RandomState, style: Style, place: str | None = None) -> Scene:
    """A scene in the named place, or in one drawn at random."""
    return PLACES[place or draw(rng, _SHARES)](rng, style)
