"""A furnished room."""

from __future__ import annotations

import numpy as np

from .catalogue import build, draw
from .stage import Light, Scene, view
from .styles import Style
from .textures import Material
from .things import Thing, ceiling, ground, wall

_ON_THE_FLOOR = dict(
    person=0.26, chair=0.16, diningtable=0.12, pottedplant=0.12, sofa=0.09, dog=0.08, cat=0.08, bottle=0.05, box=0.04
)
_AT_THE_WALLS = dict(
    tvmonitor=0.18,
    sofa=0.16,
    window=0.14,
    picture=0.14,
    shelves=0.12,
    door=0.08,
    bed=0.06,
    cabinet=0.06,
    pottedplant=0.06,
)


def room(rng: np.random.RandomState, style: Style) -> Scene:
    """A furnished room with people and pets, lit by a lamp near the ceiling."""
    half_width, depth, height = rng.uniform(2.0, 3.2), rng.uniform(4.2, 6.5), rng.uniform(2.4, 3.0)
    eye_x = rng.uniform(-0.5, 0.5) * half_width
    yaw = np.arctan2(-eye_x * rng.uniform(0.2, 1.2), depth) + rng.normal(0, 0.1)
    scene = view(rng, style, (eye_x, rng.uniform(*style.eye_height), 0.25), yaw, rng.uniform(0.0, 0.25))
    lamp_at = np.array([rng.uniform(-0.5, 0.5) * half_width, height - 0.3, rng.uniform(0.3, 0.7) * depth])
    scene.light = Light(lamp_at, np.array(style.sun) * rng.uniform(3.0, 4.5), distant=False)

    paint = style.wall(rng)
    faces = [((0, 0, depth), (0, 0, -1)), ((0, 0, -0.6), (0, 0, 1)),
             ((-half_width, 0, 0), (1, 0, 0)), ((half_width, 0, 0), (-1, 0, 0))]  # fmt: skip
    scene.add(Thing('wall', tuple(wall(point, normal, paint) for point, normal in faces), casts_shadow=False))
    scene.add(Thing('floor', (ground(0, style.floor(rng)),), casts_shadow=False))
    plaster = Material(style.colour(rng, 'paper'))
    scene.add(Thing('ceiling', (ceiling(height, plaster),), casts_shadow=False))

    def inside(x, z, radius):
        return abs(x) < half_width - radius and 0 < z < depth - radius

    _furnish_walls(rng, scene, half_width, depth)
    if rng.rand() < 0.5:
        rug = build(rng, style, 'rug')
        scene.add(rug.placed(rng.uniform(-0.5, 0.5), depth / 2, yaw=rng.uniform(-0.2, 0.2)))
    if rng.rand() < 0.3:
        scene.add(build(rng, style, 'lamp').placed(rng.choice([-1, 1]) * (half_width - 0.3), depth - 0.3))
    for _ in range(rng.randint(*style.clutter)):
        name = draw(rng, _ON_THE_FLOOR)
        thing = build(rng, style, name)
        nearest = 1.1 if name in ('bottle', 'cat') else 1.6
        if name != 'diningtable':
            scene.scatter(rng, thing, nearest, depth, inside)
        elif scene.scatter(rng, thing, 1.9, depth, inside, yaw=rng.uniform(-0.5, 0.5)):
            _lay_table(rng, scene, thing, inside)
    return scene


def _furnish_walls(rng, scene: Scene, half_width: float, depth: float) -> None:
    """Furniture with its back to the far and side walls; pictures, windows and doors on them."""
    # Each wall: the foot of its middle, the way it faces, how far its things spread along it.
    walls = [(0.0, depth, np.pi, half_width), (-half_width, depth / 2, np.pi / 2, depth / 2 - 0.8),
             (half_width, depth / 2, -np.pi / 2, depth / 2 - 0.8)]  # fmt: skip
    for x, z, yaw, reach in walls:
        along, out = np.array([np.cos(yaw), -np.sin(yaw)]), np.array([np.sin(yaw), np.cos(yaw)])
        for slot in rng.permutation(np.linspace(-0.6, 0.6, 3))[: rng.randint(1, 4)]:
            foot = np.array([x, z]) + slot * reach * along
            name = draw(rng, _AT_THE_WALLS)
            if name in ('door', 'window', 'picture'):
                sill = {'door': 0.0, 'window': 0.85, 'picture': rng.uniform(1.2, 1.5)}[name]
                scene.add(build(rng, scene.style, name).placed(*(foot + 0.02 * out), y=sill, yaw=yaw))
            else:
                _stand_at_wall(rng, scene, name, foot, out, yaw)


def _stand_at_wall(rng, scene: Scene, name: str, foot: np.ndarray, out: np.ndarray, yaw: float) -> None:
    """Put furniture (a screen: on a cabinet) with its back to the wall at ``foot``, if there is room for it."""
    thing = build(rng, scene.style, 'cabinet' if name == 'tvmonitor' else name)
    back = -min(solid.corners()[2].min() for solid in thing.solids)
    x, z = foot + (back + 0.04) * out
    eye_x, _, eye_z = scene.eye
    radius = 0.8 * thing.footprint()
    if not scene.is_free(x, z, radius) or np.hypot(x - eye_x, z - eye_z) < radius + 0.7:
        return
    scene.taken.append((x, z, radius))
    scene.add(thing.placed(x, z, yaw=yaw))
    if name == 'tvmonitor':
        scene.add(build(rng, scene.style, 'tvmonitor').placed(x, z, y=thing.height(), yaw=yaw))


def _lay_table(rng, scene: Scene, table: Thing, inside) -> None:
    """Bottles and perhaps a screen on the table that was placed last, chairs at its ends."""
    x, z, _ = scene.taken[-1]
    top = table.height()
    for _ in range(rng.randint(0, 4)):
        dx, dz = rng.uniform(-0.28, 0.28, 2)
        scene.add(build(rng, scene.style, 'bottle').placed(x + dx, z + dz, y=top))
    if rng.rand() < 0.3:
        screen = build(rng, scene.style, 'tvmonitor')
        scene.add(screen.placed(x, z + 0.2, y=top, yaw=np.pi + rng.uniform(-0.4, 0.4), scale=0.6))
    for side in (-1, 1):
        if rng.rand() < 0.6 and inside(x + side * 0.95, z, 0.25):
            scene.add(build(rng, scene.style, 'chair').placed(x + side * 0.9, z, yaw=-side * np.pi / 2))
