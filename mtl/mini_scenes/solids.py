"""Convex solids that rays can hit: half-spaces, polyhedra, spheres, cylinders, capsules.

Each shape is written once, in a canonical local frame; an affine map places it in the world. A sphere under an
anisotropic map is an ellipsoid, a capsule under one is a flattened torso, so four intersections draw everything.

World frame: x right, y up, z ahead, in metres. Rays are ``origin + t * direction`` with ``[3, N]`` directions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from .textures import Material

NEVER = np.inf
# Which of the two bounds each of a box's eight corners takes, along x, y and z.
_CORNERS = np.indices((2, 2, 2)).reshape(3, 8)
_PARALLEL = 1e-12
_NEAREST = 1e-6


def _later_than_start(t: np.ndarray, hit: np.ndarray) -> np.ndarray:
    return np.where(hit & (t > _NEAREST), t, NEVER)


@dataclass(frozen=True)
class HalfSpace:
    """All points whose coordinate ``axis`` is at most 0: floors, walls and water, which need no bounds."""

    axis: int = 1
    bounds: ClassVar[None] = None

    def intersect(self, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Ray parameter of the entry, ``inf`` for a miss; ``origin`` ``[3, 1 or N]``, ``direction`` ``[3, N]``."""
        height, rise = origin[self.axis], direction[self.axis]
        return _later_than_start(-height / np.minimum(rise, -_PARALLEL), (rise < 0) & (height >= 0))

    def normals(self, points: np.ndarray) -> np.ndarray:
        """Outward local normals (any length) at local surface points ``[3, N]``."""
        normals = np.zeros_like(points)
        normals[self.axis] = 1.0
        return normals


@dataclass(frozen=True)
class Sphere:
    """Unit sphere about the origin."""

    bounds = np.array([[-1.0] * 3, [1.0] * 3])

    def intersect(self, origin, direction):
        """See :meth:`HalfSpace.intersect`."""
        square = (direction * direction).sum(0)
        along = -(origin * direction).sum(0) / square
        nearest = origin + along * direction
        slack = 1.0 - (nearest * nearest).sum(0)
        return _later_than_start(along - np.sqrt(np.maximum(slack, 0) / square), slack > 0)

    def normals(self, points):
        """See :meth:`HalfSpace.normals`."""
        return points


@dataclass(frozen=True)
class Cylinder:
    """Unit circle in x and z, ``|y| <= 1``, closed by two discs."""

    bounds = np.array([[-1.0] * 3, [1.0] * 3])

    def intersect(self, origin, direction):
        """See :meth:`HalfSpace.intersect`."""
        enter, leave = _tube(origin, direction)
        rise = np.where(np.abs(direction[1]) < _PARALLEL, _PARALLEL, direction[1])
        ends = (-np.sign(rise) - origin[1]) / rise, (np.sign(rise) - origin[1]) / rise
        enter = np.maximum(enter, ends[0])
        return _later_than_start(enter, enter < np.minimum(leave, ends[1]))

    def normals(self, points):
        """See :meth:`HalfSpace.normals`."""
        disc = np.abs(points[1]) > np.hypot(points[0], points[2])
        return np.where(disc, points * [[0.0], [1.0], [0.0]], points * [[1.0], [0.0], [1.0]])


@dataclass(frozen=True)
class Capsule:
    """All points within distance 1 of the segment from ``-half_length`` to ``half_length`` on the y axis."""

    half_length: float

    @property
    def bounds(self) -> np.ndarray:
        """Lowest and highest corner of the local bounding box, ``[2, 3]``."""
        corner = np.array([1.0, self.half_length + 1.0, 1.0])
        return np.stack([-corner, corner])

    def intersect(self, origin, direction):
        """See :meth:`HalfSpace.intersect`. A ray that misses the infinite tube misses the caps inside it too."""
        enter, leave = _tube(origin, direction)
        height = origin[1] + enter * direction[1]
        on_tube = np.abs(height) <= self.half_length
        # An end-on ray enters the tube infinitely early, and a steep one far out: only the sign matters there.
        centre = np.zeros((3, direction.shape[1]))
        centre[1] = np.copysign(self.half_length, height)
        cap = Sphere().intersect(origin - centre, direction)
        return np.where(enter < leave, np.where(on_tube, _later_than_start(enter, on_tube), cap), NEVER)

    def normals(self, points):
        """See :meth:`HalfSpace.normals`."""
        normals = points.copy()
        normals[1] -= np.clip(points[1], -self.half_length, self.half_length)
        return normals


@dataclass(frozen=True)
class Polyhedron:
    """The intersection of half-spaces ``planes[:, :3] @ p <= planes[:, 3]``.

    Args:
        planes: ``[M, 4]``, unit outward normals and offsets.
        bounds: ``[2, 3]`` lowest and highest corner.
    """

    planes: np.ndarray
    bounds: np.ndarray

    def intersect(self, origin, direction):
        """See :meth:`HalfSpace.intersect`. A plane parallel to the ray gives a parameter of ``+-1e12 * distance``."""
        speed = self.planes[:, :3] @ direction
        speed[np.abs(speed) < _PARALLEL] = _PARALLEL
        t = (self.planes[:, 3:] - self.planes[:, :3] @ origin) / speed
        entering = speed < 0
        enter = np.where(entering, t, -NEVER).max(0)
        leave = np.where(entering, NEVER, t).min(0)
        return _later_than_start(enter, enter < leave)

    def normals(self, points):
        """See :meth:`HalfSpace.normals`."""
        distance = self.planes[:, :3] @ points - self.planes[:, 3:]
        return self.planes[distance.argmax(0), :3].T


def _tube(origin: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry and exit of the infinite unit tube about the y axis; entry after exit for a miss."""
    dx, dz = direction[0], direction[2]
    square = np.maximum(dx * dx + dz * dz, _PARALLEL)
    along = -(origin[0] * dx + origin[2] * dz) / square
    slack = 1.0 - (origin[0] + along * dx) ** 2 - (origin[2] + along * dz) ** 2
    half = np.sqrt(np.maximum(slack, 0) / square)
    return along - half, np.where(slack > 0, along + half, -NEVER)


@dataclass(frozen=True)
class Solid:
    """A shape placed in the world: ``world = linear @ local + centre``.

    Args:
        shape: one of the shapes above.
        linear: ``[3, 3]``.
        centre: ``[3]`` metres.
        material: how the surface looks.
        part: PASCAL-Part name of a body part, empty elsewhere.
    """

    shape: HalfSpace | Sphere | Cylinder | Capsule | Polyhedron
    linear: np.ndarray
    centre: np.ndarray
    material: Material
    part: str = ''

    @cached_property
    def to_local(self) -> np.ndarray:
        """The inverse of ``linear``."""
        return np.linalg.inv(self.linear)

    def intersect(self, origin: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Ray parameter ``[N]`` of the entry into the solid; ``inf`` where missed."""
        return self.shape.intersect(self.to_local @ (origin - self.centre[:, None]), self.to_local @ direction)

    def surface(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit world normals ``[3, N]`` and texture coordinates ``[3, N]`` (metres along the solid's own axes)."""
        local = self.to_local @ (points - self.centre[:, None])
        normals = self.to_local.T @ self.shape.normals(local)
        normals /= np.sqrt((normals * normals).sum(0))
        return normals, local * np.linalg.norm(self.linear, axis=0)[:, None]

    def corners(self) -> np.ndarray:
        """World positions ``[3, 8]`` of the bounding box's corners."""
        return self.linear @ self.shape.bounds[_CORNERS, [[0], [1], [2]]] + self.centre[:, None]

    def moved(self, linear: np.ndarray, offset: np.ndarray) -> Solid:
        """The solid after ``p -> linear @ p + offset``."""
        return replace(self, linear=linear @ self.linear, centre=linear @ self.centre + offset)


def tapered_box(
    bottom: Sequence[float], top: Sequence[float], height: float, top_shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Planes and bounds of a box that stands on ``y = 0`` and narrows towards its top.

    Args:
        bottom: full extent in x and z at the bottom.
        top: the same at the top.
        height: in metres.
        top_shift: how far the top's centre lies ahead (z) of the bottom's.
    """
    (bx, bz), (tx, tz) = np.asarray(bottom) / 2, np.asarray(top) / 2
    planes = np.array(
        [
            [0, -1, 0, 0],
            [0, 1, 0, height],
            [height, bx - tx, 0, height * bx],
            [-height, bx - tx, 0, height * bx],
            [0, bz - tz - top_shift, height, height * bz],
            [0, bz - tz + top_shift, -height, height * bz],
        ]
    )
    planes = planes / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    x, ahead, behind = max(bx, tx), max(bz, tz + top_shift), max(bz, tz - top_shift)
    return planes, np.array([[-x, 0, -behind], [x, height, ahead]])
