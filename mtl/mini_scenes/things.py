"""A thing is a group of solids that moves as one and is one instance; builders of solids in a thing's own frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .solids import Capsule, Cylinder, HalfSpace, Polyhedron, Solid, Sphere, tapered_box
from .textures import Material

UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Thing:
    """One instance of a category.

    Attributes:
        category: a key of ``labels.CATEGORIES``.
        solids: its shapes; the thing stands on ``y = 0`` and faces ``+z`` until it is placed.
        casts_shadow: False for what encloses the scene (walls, sky-high facades), which must not darken it.
    """

    category: str
    solids: tuple[Solid, ...]
    casts_shadow: bool = True

    def placed(self, x: float, z: float, y: float = 0.0, yaw: float = 0.0, scale: float = 1.0) -> Thing:
        """The thing scaled, turned by ``yaw`` (radians, from z towards x) and put at ``(x, y, z)``."""
        linear = scale * turn_y(yaw)
        offset = np.array([x, y, z])
        return replace(self, solids=tuple(solid.moved(linear, offset) for solid in self.solids))

    def bounding_sphere(self) -> tuple[np.ndarray, float]:
        """Centre ``[3]`` and radius of a sphere around all solids (which must be bounded)."""
        corners = np.concatenate([solid.corners() for solid in self.solids], axis=1)
        centre = (corners.max(1) + corners.min(1)) / 2
        return centre, float(np.linalg.norm(corners - centre[:, None], axis=0).max())

    def height(self) -> float:
        """Of its highest point above its base, before it is placed."""
        return float(max(solid.corners()[1].max() for solid in self.solids))

    def footprint(self) -> float:
        """Radius on the ground about the thing's origin, before it is placed."""
        corners = np.concatenate([solid.corners() for solid in self.solids], axis=1)
        return float(np.hypot(corners[0], corners[2]).max())


def turn_y(angle: float) -> np.ndarray:
    """Rotation that takes ``+z`` towards ``+x``."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def frame_along(axis: np.ndarray) -> np.ndarray:
    """A rotation whose y axis is ``axis``; its x axis stays as near to the world's x as it can."""
    up = np.asarray(axis, dtype=float) / np.linalg.norm(axis)
    hint = np.array([1.0, 0.0, 0.0]) if abs(up[0]) < 0.9 else np.array([0.0, 0.0, 1.0])
    across = hint - (hint @ up) * up
    across /= np.linalg.norm(across)
    return np.stack([across, up, np.cross(across, up)], axis=1)


def ball(centre: Sequence[float], radius: float | Sequence[float], material: Material, part: str = '') -> Solid:
    """A sphere, or an ellipsoid when ``radius`` has three values."""
    return Solid(Sphere(), np.diag(np.broadcast_to(radius, 3).astype(float)), np.asarray(centre, float), material, part)


def rod(
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    material: Material,
    part: str = '',
    flatten: float = 1.0,
) -> Solid:
    """A capsule from ``start`` to ``end``; ``flatten`` scales its thickness along z."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    half = np.linalg.norm(end - start) / 2
    linear = frame_along(end - start) * radius * np.array([1.0, 1.0, flatten])
    return Solid(Capsule(half / radius), linear, (start + end) / 2, material, part)


def drum(start: Sequence[float], end: Sequence[float], radius: float, material: Material) -> Solid:
    """A closed cylinder from ``start`` to ``end``."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    half = np.linalg.norm(end - start) / 2
    return Solid(Cylinder(), frame_along(end - start) * np.array([radius, half, radius]), (start + end) / 2, material)


def block(base: Sequence[float], size: Sequence[float], material: Material, top=None, shift: float = 0.0) -> Solid:
    """A box of extent ``size`` (x, y, z) whose bottom face is centred on ``base``.

    Args:
        top: extent in x and z of the top face, default that of the bottom.
        shift: how far the top's centre lies ahead (z).
    """
    width, height, length = size
    planes, bounds = tapered_box((width, length), top or (width, length), height, shift)
    return Solid(Polyhedron(planes, bounds), np.eye(3), np.asarray(base, float), material)


def ground(height: float, material: Material) -> Solid:
    """Everything below ``height``."""
    return Solid(HalfSpace(), np.eye(3), np.array([0.0, height, 0.0]), material)


def wall(point: Sequence[float], normal: Sequence[float], material: Material) -> Solid:
    """A half-space bounded by the upright plane through ``point`` that faces the horizontal ``normal``."""
    linear = np.stack([np.cross(UP, normal), UP, normal], axis=1)
    return Solid(HalfSpace(axis=2), linear, np.asarray(point, float), material)


def ceiling(height: float, material: Material) -> Solid:
    """Everything above ``height``."""
    return Solid(HalfSpace(), np.diag([1.0, -1.0, 1.0]), np.array([0.0, height, 0.0]), material)
