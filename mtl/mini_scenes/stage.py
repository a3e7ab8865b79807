"""A scene that is being put together: camera, light, and free places for things to stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .styles import Style
from .things import Thing


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

    def add(self, thing: Thing) -> None:
        """Add a thing that is already placed."""
        self.things.append(thing)

    def is_free(self, x: float, z: float, radius: float) -> bool:
        """Whether a circle on the ground overlaps none that is taken."""
        return all(np.hypot(x - u, z - v) > radius + r for u, v, r in self.taken)

    def spot(
        self,
        rng: np.random.RandomState,
        radius: float,
        near: float,
        far: float,
        inside: Callable[[float, float, float], bool],
    ) -> tuple[float, float] | None:
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
            if self.is_free(x, z, radius) and inside(x, z, radius):
                self.taken.append((x, z, radius))
                return x, z
        return None

    def scatter(
        self,
        rng: np.random.RandomState,
        thing: Thing,
        near: float,
        far: float,
        inside: Callable[[float, float, float], bool],
        yaw: float | None = None,
        y: float = 0.0,
    ) -> bool:
        """Put the thing on a free place (see :meth:`spot`), turned at random by default; False when there is none."""
        spot = self.spot(rng, 0.9 * thing.footprint(), near, far, inside)
        if spot is None:
            return False
        self.add(thing.placed(*spot, y=y, yaw=rng.uniform(-np.pi, np.pi) if yaw is None else yaw))
        return True


def view(rng: np.random.RandomState, style: Style, position, yaw: float, pitch: float) -> Scene:
    """A scene with a camera only; ``yaw`` from z towards x, ``pitch`` downwards, in radians; a slight random roll."""
    sy, cy, sp, cp = np.sin(yaw), np.cos(yaw), np.sin(pitch), np.cos(pitch)
    ahead = np.array([sy * cp, -sp, cy * cp])
    right = np.array([cy, 0.0, -sy])
    down = np.array([-sy * sp, -cp, -cy * sp])
    roll = np.radians(rng.normal(0, 1.5))
    right, down = right * np.cos(roll) + down * np.sin(roll), down * np.cos(roll) - right * np.sin(roll)
    tangent = np.tan(np.radians(rng.uniform(*style.field_of_view)) / 2)
    return Scene(style, np.asarray(position, float), np.stack([right, down, ahead]), tangent)


def sun(rng: np.random.RandomState, style: Style) -> Light:
    """The sun at a height typical of the style."""
    elevation = np.radians(rng.uniform(*style.sun_elevation))
    azimuth = np.pi + rng.uniform(-1.2, 1.2)  # from behind the camera, so that what is seen is lit
    direction = [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    return Light(np.array(direction), np.array(style.sun), True)
