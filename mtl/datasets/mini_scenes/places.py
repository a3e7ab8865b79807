"""Random places: a room, a street, a meadow, a harbour, each filled with things that stand where they would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from . import furniture, outdoors
from .figures import animal, bottle, person, pottedplant
from .styles import Style
from .textures import Material
from .things import Thing, ceiling, ground, wall


@dataclass(frozen=True)
class Light:
    """A point light at ``position`` (metres), or the sun in the direction ``position`` when ``distant``."""

    position: np.ndarray
    colour: np.ndarray
    distant: bool


@dataclass
class Scene:
    """Camera, light and things.

    Attributes:
        eye: ``[3]`` camera position.
        axes: ``[3, 3]`` rows are the camera's right, down and ahead in the world.
        tangent: half the picture's width at distance 1.
        taken: circles ``(x, z, radius)`` on the ground that are occupied.
    """

    style: Style
    eye: np.ndarray
    axes: np.ndarray
    tangent: float
    light: Light | None = None
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, thing: Thing | None) -> None:
        """Add a thing that is already placed."""
        if thing is not None:
            self.things.append(thing)

    def spot(self, rng, radius: float, near: float, far: float, inside: Callable[[float, float, float], bool]):
        """A free place ``(x, z)`` on the ground within view, or None after 25 tries.

        Args:
            radius: of the thing's footprint.
            near, far: range of distances along the view.
            inside: whether a circle ``(x, z, radius)`` lies where such a thing may stand.
        """
        ahead = self.axes[2] * [1, 0, 1]
        ahead /= np.linalg.norm(ahead)
        right = np.array([ahead[2], 0, -ahead[0]])
        for _ in range(25):
            distance = near + (far - near) * rng.rand() ** 1.7
            x, _, z = self.eye + distance * (ahead + 0.85 * self.tangent * rng.uniform(-1, 1) * right)
            clear = all(np.hypot(x - u, z - v) > radius + r for u, v, r in self.taken)
            if clear and inside(x, z, radius):
                self.taken.append((x, z, radius))
                return x, z
        return None

    def scatter(self, rng, thing: Thing, near: float, far: float, inside, yaw=None, y: float = 0.0) -> Thing | None:
        """Put the thing on a free place and return it placed; None when there is no place."""
        spot = self.spot(rng, 0.9 * thing.footprint(), near, far, inside)
        if spot is None:
            return None
        placed = thing.placed(*spot, y=y, yaw=rng.uniform(-np.pi, np.pi) if yaw is None else yaw)
        self.add(placed)
        return placed


def _view(rng, style: Style, position, yaw: float, pitch: float) -> Scene:
    """A scene with a camera only; ``yaw`` from z towards x, ``pitch`` downwards, in radians; a slight random roll."""
    sy, cy, sp, cp = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
    ahead = np.array([sy * cp, -sp, cy * cp])
    right = np.array([cy, 0.0, -sy])
    down = np.array([-sy * sp, -cp, -cy * sp])
    roll = np.radians(rng.normal(0, 1.5))
    right, down = right * np.cos(roll) + down * np.sin(roll), down * np.cos(roll) - right * np.sin(roll)
    tangent = np.tan(np.radians(rng.uniform(*style.field_of_view)) / 2)
    return Scene(style, np.asarray(position, float), np.stack([right, down, ahead]), tangent)


def _sun(rng, style: Style) -> Light:
    elevation = np.radians(rng.uniform(*style.sun_elevation))
    azimuth = np.pi + rng.uniform(-1.2, 1.2)  # from behind the camera, so that what is seen is lit
    direction = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    return Light(np.array(direction), np.array(style.sun), True)


def room(rng: np.random.RandomState, style: Style) -> Scene:
    """A furnished room with people and pets, lit by a lamp near the ceiling."""
    half_width, depth, height = rng.uniform(2.0, 3.2), rng.uniform(4.2, 6.5), rng.uniform(2.4, 3.0)
    eye_x = rng.uniform(-0.5, 0.5) * half_width
    yaw = np.arctan2(-eye_x * rng.uniform(0.2, 1.2), depth) + rng.normal(0, 0.1)
    scene = _view(rng, style, (eye_x, rng.uniform(*style.eye_height), 0.25), yaw, rng.uniform(0.0, 0.25))
    lamp_at = np.array([rng.uniform(-0.5, 0.5) * half_width, height - 0.3, rng.uniform(0.3, 0.7) * depth])
    scene.light = Light(lamp_at, np.array(style.sun) * rng.uniform(3.0, 4.5), False)

    paint = style.wall(rng)
    walls = [((0, 0, depth), (0, 0, -1)), ((-half_width, 0, 0), (1, 0, 0)), ((half_width, 0, 0), (-1, 0, 0))]
    scene.add(Thing('wall', tuple(wall(p, n, paint) for p, n in [*walls, ((0, 0, -0.6), (0, 0, 1))]), False))
    scene.add(Thing('floor', (ground(0, style.floor(rng)),), False))
    scene.add(Thing('ceiling', (ceiling(height, Material(style.colour(rng, 'paper'))),), False))

    def inside(x, z, radius):
        return abs(x) < half_width - radius and 0 < z < depth - radius

    _furnish_walls(rng, scene, half_width, depth)
    for _ in range(rng.randint(*style.clutter)):
        kind = rng.choice(['person', 'chair', 'table', 'plant', 'dog', 'cat', 'box', 'sofa', 'bottle'],
                          p=[0.26, 0.16, 0.12, 0.12, 0.08, 0.08, 0.04, 0.09, 0.05])  # fmt: skip
        if kind == 'table':
            _table_group(rng, scene, inside, depth)
        else:
            build = {'person': person, 'chair': furniture.chair, 'plant': pottedplant, 'box': furniture.box,
                     'sofa': furniture.sofa, 'bottle': bottle}.get(kind)  # fmt: skip
            thing = build(rng, style) if build else animal(rng, style, kind)
            scene.scatter(rng, thing, 1.1 if kind in ('bottle', 'cat') else 1.6, depth, inside)
    return scene


def _furnish_walls(rng, scene: Scene, half_width: float, depth: float) -> None:
    """Furniture with its back to the far and side walls, pictures, windows and doors on them, a rug and a lamp."""
    style = scene.style
    # Each wall: where its foot's middle is, which way it faces, how far its things spread along it.
    sides = [(0.0, depth, np.pi, half_width), (-half_width, depth / 2, np.pi / 2, depth / 2 - 0.8),
             (half_width, depth / 2, -np.pi / 2, depth / 2 - 0.8)]  # fmt: skip
    for x, z, yaw, reach in sides:
        along, out = np.array([np.cos(yaw), -np.sin(yaw)]), np.array([np.sin(yaw), np.cos(yaw)])
        slots = rng.permutation(np.linspace(-0.6, 0.6, 3))[: rng.randint(1, 4)]
        for slot in slots:
            kind = rng.choice(['sofa', 'tv', 'shelves', 'bed', 'door', 'window', 'picture', 'cabinet', 'plant'],
                              p=[0.16, 0.18, 0.12, 0.06, 0.08, 0.14, 0.14, 0.06, 0.06])  # fmt: skip
            if kind in ('door', 'window', 'picture'):
                thing = getattr(furniture, kind)(rng, style)
                foot = {'door': 0.0, 'window': 0.85, 'picture': rng.uniform(1.2, 1.5)}[kind]
                px, pz = np.array([x, z]) + slot * reach * along + 0.02 * out
                scene.add(thing.placed(px, pz, y=foot, yaw=yaw))
                continue
            build = {'tv': furniture.cabinet, 'plant': pottedplant}.get(kind) or getattr(furniture, kind)
            thing = build(rng, style)
            back = -min(solid.corners()[2].min() for solid in thing.solids)
            px, pz = np.array([x, z]) + slot * reach * along + (back + 0.04) * out
            radius = 0.8 * thing.footprint()
            if any(np.hypot(px - u, pz - v) < radius + r for u, v, r in [*scene.taken, (*scene.eye[[0, 2]], 0.7)]):
                continue
            scene.taken.append((px, pz, radius))
            scene.add(thing.placed(px, pz, yaw=yaw))
            if kind == 'tv':
                scene.add(furniture.tvmonitor(rng, style).placed(px, pz, y=furniture.tabletop(thing), yaw=yaw))
    if rng.rand() < 0.5:
        scene.add(furniture.rug(rng, style).placed(rng.uniform(-0.5, 0.5), depth / 2, yaw=rng.uniform(-0.2, 0.2)))
    if rng.rand() < 0.3:
        side = rng.choice([-1, 1])
        scene.add(furniture.lamp(rng, style).placed(side * (half_width - 0.3), depth - 0.3))


def _table_group(rng, scene: Scene, inside, depth: float) -> None:
    """A table, perhaps with bottles or a screen on it and chairs around it."""
    table = furniture.diningtable(rng, scene.style)
    yaw = rng.uniform(-0.5, 0.5)
    placed = scene.scatter(rng, table, 1.9, depth, inside, yaw=yaw)
    if placed is None:
        return
    x, z, _ = scene.taken[-1]
    top = furniture.tabletop(table)
    for _ in range(rng.randint(0, 4)):
        dx, dz = rng.uniform(-0.28, 0.28, 2)
        scene.add(bottle(rng, scene.style).placed(x + dx, z + dz, y=top))
    if rng.rand() < 0.3:
        screen = furniture.tvmonitor(rng, scene.style)
        scene.add(screen.placed(x, z + 0.2, y=top, yaw=np.pi + rng.uniform(-0.4, 0.4), scale=0.6))
    for side in (-1, 1):
        if rng.rand() < 0.6 and inside(x + side * 0.95, z, 0.25):
            scene.add(furniture.chair(rng, scene.style).placed(x + side * 0.9, z, yaw=-side * np.pi / 2))


def street(rng: np.random.RandomState, style: Style) -> Scene:
    """A road between houses with cars, buses, a tram-like train and people."""
    road = rng.uniform(3.2, 4.5)
    walk = road + rng.uniform(2.0, 3.2)
    eye = (rng.uniform(-1, 1) * walk * 0.8, rng.uniform(*style.eye_height) + 0.15, 0.0)
    scene = _view(rng, style, eye, rng.normal(0, 0.2) - 0.04 * eye[0], rng.uniform(-0.03, 0.15))
    scene.light = _sun(rng, style)
    asphalt = Material(style.colour(rng, 'asphalt'), style.colour(rng, 'asphalt'), 'blotches', 0.5, rng.rand(3))
    slabs = Material(style.colour(rng, 'paving'), style.colour(rng, 'paving') * 0.6,
                     str(rng.choice(style.floor_patterns)), rng.uniform(0.4, 0.8), rng.rand(3))  # fmt: skip
    scene.add(Thing('road', (ground(0, asphalt),), False))
    curb = [outdoors.block((side * (road + 10), 0, 60), (20, 0.12, 160), slabs) for side in (-1, 1)]
    scene.add(Thing('sidewalk', tuple(curb), False))
    for side in (-1, 1):
        z = rng.uniform(-8, -2)
        while z < 70:
            width = rng.uniform(6, 14)
            house = outdoors.building(rng, style, 8.0, width)
            scene.add(house.placed(side * (walk + 4.0), z + width / 2))
            z += width + (rng.uniform(1.5, 5) if rng.rand() < 0.3 else 0.0)

    def on_road(x, z, radius):
        return abs(x) < road - 0.7 and np.hypot(x - eye[0], z) > radius + 1.5

    def on_walk(x, z, radius):
        return road + 0.2 < abs(x) < walk - 0.25

    def anywhere(x, z, radius):
        return abs(x) < walk - 0.3

    for _ in range(rng.randint(*style.clutter)):
        kind = rng.choice(['person', 'car', 'bus', 'train', 'tree', 'dog', 'plant', 'bottle', 'chair'],
                          p=[0.34, 0.26, 0.1, 0.04, 0.05, 0.07, 0.07, 0.02, 0.05])  # fmt: skip
        along = rng.choice([0, np.pi]) + rng.normal(0, 0.06)
        if kind in ('car', 'bus', 'train'):
            thing = getattr(outdoors, kind)(rng, style)
            scene.scatter(rng, thing, 4 + thing.footprint(), 32, on_road, yaw=along)
        elif kind == 'person':
            scene.scatter(rng, person(rng, style), 2.2, 16, anywhere, y=0.06)
        else:
            build = {'tree': outdoors.tree, 'plant': pottedplant, 'bottle': bottle, 'chair': furniture.chair}.get(kind)
            thing = build(rng, style) if build else animal(rng, style, kind)
            scene.scatter(rng, thing, 2.2, 6 if kind == 'bottle' else 18, on_walk, y=0.12)
    return scene


def meadow(rng: np.random.RandomState, style: Style) -> Scene:
    """Grass with animals, people, trees and a fence; now and then a train passes behind."""
    eye_height = rng.uniform(*style.eye_height)
    scene = _view(rng, style, (0, eye_height, 0), rng.normal(0, 0.3), rng.uniform(-0.02, 0.16))
    scene.light = _sun(rng, style)
    blades = Material(style.colour(rng, 'grass'), style.colour(rng, 'grass') * 0.7, 'blotches',
                      rng.uniform(0.15, 0.6), rng.rand(3))  # fmt: skip
    scene.add(Thing('grass', (ground(0, blades),), False))

    def anywhere(x, z, radius):
        return z < 24

    for _ in range(rng.randint(8, 16)):
        scene.add(outdoors.tree(rng, style).placed(rng.uniform(-40, 40), rng.uniform(33, 45), scale=1.5))
    if rng.rand() < 0.6:
        scene.add(outdoors.fence(rng, style, 40.0).placed(0, rng.uniform(14, 24), yaw=rng.uniform(-0.2, 0.2)))
    if rng.rand() < 0.35:
        carriages = outdoors.train(rng, style)
        scene.add(carriages.placed(rng.uniform(-8, 8), 29, yaw=np.pi / 2 * rng.choice([-1, 1])))
    for _ in range(rng.randint(*style.clutter)):
        kind = rng.choice(['person', 'cow', 'sheep', 'horse', 'dog', 'tree', 'box', 'car'],
                          p=[0.22, 0.19, 0.19, 0.16, 0.1, 0.04, 0.03, 0.07])  # fmt: skip
        build = {'person': person, 'tree': outdoors.tree, 'box': furniture.box, 'car': outdoors.car}.get(kind)
        thing = build(rng, style) if build else animal(rng, style, kind)
        near = {'car': 6.0, 'tree': 7.0, 'dog': 2.0}.get(kind, 2.8)
        scene.scatter(rng, thing, near, 12 if kind == 'dog' else 20, anywhere)
    return scene


def harbour(rng: np.random.RandomState, style: Style) -> Scene:
    """A quay with people and dogs before water with boats."""
    edge = rng.uniform(4.0, 7.0)
    eye = (0, rng.uniform(*style.eye_height) + 0.6, 0)
    scene = _view(rng, style, eye, rng.normal(0, 0.25), rng.uniform(0.02, 0.18))
    scene.light = _sun(rng, style)
    ripple = Material(style.colour(rng, 'water'), style.colour(rng, 'water') * 1.5, 'marble', 0.8, rng.rand(3), 0.35)
    slabs = Material(style.colour(rng, 'paving'), style.colour(rng, 'paving') * 0.6,
                     str(rng.choice(style.floor_patterns)), rng.uniform(0.3, 0.8), rng.rand(3))  # fmt: skip
    scene.add(Thing('water', (ground(-1.0, ripple),), False))
    scene.add(Thing('sidewalk', (outdoors.block((0, -3, edge - 20), (200, 3, 40), slabs),), False))

    def afloat(x, z, radius):
        return z > edge + 0.6 * radius + 0.6

    def ashore(x, z, radius):
        return z < edge - 0.3

    for _ in range(rng.randint(2, 6)):
        thing = outdoors.boat(rng, style)
        scene.scatter(
            rng, thing, edge + 1.5, 26, afloat, y=-1.15, yaw=np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.5)
        )
    for _ in range(rng.randint(*style.clutter) // 2):
        kind = rng.choice(['person', 'dog', 'cat', 'chair', 'plant', 'bottle', 'box'],
                          p=[0.44, 0.12, 0.1, 0.12, 0.1, 0.06, 0.06])  # fmt: skip
        build = {'person': person, 'chair': furniture.chair, 'plant': pottedplant, 'bottle': bottle,
                 'box': furniture.box}.get(kind)  # fmt: skip
        thing = build(rng, style) if build else animal(rng, style, kind)
        scene.scatter(rng, thing, 1.8, edge, ashore)
    return scene


PLACES = {'room': (room, 0.4), 'street': (street, 0.3), 'meadow': (meadow, 0.18), 'harbour': (harbour, 0.12)}


def random_scene(rng: np.random.RandomState, style: Style, place: str | None = None) -> Scene:
    """A scene in the named place, or in one drawn by the frequencies in ``PLACES``."""
    if place is None:
        place = rng.choice(list(PLACES), p=[share for _, share in PLACES.values()])
    return PLACES[place][0](rng, style)
