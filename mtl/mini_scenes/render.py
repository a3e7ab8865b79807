"""The vectorised ray caster: which solid each pixel sees, how far, which way it faces, and how it is lit.

Visibility is worked out solid by solid, each only over the pixel rectangle its bounding box projects to; shadows
thing by thing, each only for the points whose ray to the light passes its bounding sphere.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .solids import NEVER, Solid
from .stage import Light, Scene
from .styles import Style
from .things import Thing

_NEAR = 0.05
NOTHING = -1


@dataclass
class Buffers:
    """What the camera sees, per pixel.

    Attributes:
        depth: ``[H, W]`` metres along the optical axis, inf where nothing is.
        solid: ``[H, W]`` index into ``solids``, -1 where nothing is.
        normals: ``[3, H, W]`` unit, in the world; zero where nothing is.
        colour: ``[3, H, W]`` linear RGB that reaches the lens.
    """

    depth: np.ndarray
    solid: np.ndarray
    normals: np.ndarray
    colour: np.ndarray


def camera_rays(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    """World directions ``[3, H, W]`` through pixel centres with 1 along the optical axis, so that t is the depth."""
    height, width = size
    focal = width / 2 / scene.tangent
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    right, down, ahead = scene.axes[..., None, None]
    return right * x + down * y[:, None] + ahead


def _rectangle(scene: Scene, solid: Solid, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns that may see the solid; None when it is out of view."""
    height, width = size
    if solid.shape.bounds is None:
        return slice(0, height), slice(0, width)
    x, y, z = scene.axes @ (solid.corners() - scene.eye[:, None])
    if z.max() < _NEAR:
        return None
    if z.min() < _NEAR:
        return slice(0, height), slice(0, width)
    focal = width / 2 / scene.tangent
    u, v = focal * x / z + width / 2, focal * y / z + height / 2
    left, right = max(0, int(u.min() - 0.5)), min(width, int(u.max() + 1.5))
    top, bottom = max(0, int(v.min() - 0.5)), min(height, int(v.max() + 1.5))
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def cast(scene: Scene, solids: list[Solid], rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth and index ``[H, W]`` of the nearest solid."""
    size = rays.shape[1:]
    depth, index = np.full(size, NEVER), np.full(size, NOTHING)
    origin = scene.eye[:, None]
    for k, solid in enumerate(solids):
        rectangle = _rectangle(scene, solid, size)
        if rectangle is None:
            continue
        window = depth[rectangle]
        t = solid.intersect(origin, rays[:, rectangle[0], rectangle[1]].reshape(3, -1)).reshape(window.shape)
        nearer = t < window
        window[nearer] = t[nearer]
        index[rectangle][nearer] = k
    return depth, index


def shadowed(scene: Scene, points: np.ndarray, light: Light) -> np.ndarray:
    """Whether something stands between each point ``[3, N]`` (just off its surface) and the light."""
    if light.distant:
        towards, reach = np.repeat(light.position[:, None], points.shape[1], axis=1), NEVER
    else:
        towards, reach = light.position[:, None] - points, 1.0
    casters = [thing for thing in scene.things if thing.casts_shadow]
    dark = np.zeros(points.shape[1], dtype=bool)
    for thing, may_hit in zip(casters, _near_spheres(casters, points, towards), strict=True):
        candidates = np.flatnonzero(may_hit & ~dark)
        for solid in thing.solids:
            if not len(candidates):
                break
            blocked = solid.intersect(points[:, candidates], towards[:, candidates]) < reach
            dark[candidates[blocked]] = True
            candidates = candidates[~blocked]
    return dark


def _near_spheres(things: list[Thing], points: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Whether each ray may pass the bounding sphere of each thing: bool ``[things, N]``, never wrongly False.

    With ``c`` a centre, ``p`` a point and unit ``d``: the ray misses when ``|c - p|^2 - ((c - p) . d)^2 > r^2``, and
    both terms expand into products of matrices.
    """
    if not things:
        return np.zeros((0, points.shape[1]), dtype=bool)
    centres, radii = (np.array(values) for values in zip(*(thing.bounding_sphere() for thing in things), strict=True))
    unit = towards / np.sqrt((towards * towards).sum(0))
    along = centres @ unit - (points * unit).sum(0)
    square = (centres * centres).sum(1)[:, None] - 2 * centres @ points + (points * points).sum(0)
    return (square - along * along < radii[:, None] ** 2) & (along > -radii[:, None])


def sky(rays: np.ndarray, style: Style, sun: np.ndarray) -> np.ndarray:
    """Linear RGB ``[3, N]`` of the sky in the direction of ``rays`` ``[3, N]``: a gradient and soft clouds."""
    unit = rays / np.sqrt((rays * rays).sum(0))
    height = np.clip(unit[1], 0, 1) ** 0.6
    horizon, zenith = np.array(style.horizon)[:, None], np.array(style.zenith)[:, None]
    colour = horizon + (zenith - horizon) * height
    plane = unit[[0, 2]] / (unit[1] + 0.15)
    drift = (
        np.sin(2.1 * plane[0] + 5 * sun[0])
        + np.sin(3.7 * plane[1] + 1.3 * plane[0])
        + np.sin(5.3 * plane[0] - plane[1])
    )
    cloud = np.clip(0.5 * drift - 0.3, 0, 0.6) * (unit[1] > 0)
    return colour + (0.92 * np.maximum(horizon, 0.5) - colour) * cloud


def render(scene: Scene, size: tuple[int, int]) -> tuple[Buffers, list[Solid]]:
    """Cast, shade and return the buffers with the list that ``Buffers.solid`` indexes (things in order)."""
    solids = [solid for thing in scene.things for solid in thing.solids]
    rays = camera_rays(scene, size)
    depth, index = cast(scene, solids, rays)
    rays, flat = rays.reshape(3, -1), index.ravel()
    colour = np.empty_like(rays)
    normals = np.zeros_like(rays)
    empty = flat == NOTHING
    light, style = scene.light, scene.style
    if empty.any():
        colour[:, empty] = sky(rays[:, empty], style, light.position)

    seen = np.flatnonzero(~empty)
    points = scene.eye[:, None] + rays[:, seen] * depth.ravel()[seen]
    facing, reflectance = np.empty_like(points), np.empty_like(points)
    gloss, glow = np.zeros(len(seen)), np.zeros(len(seen))
    order = np.argsort(flat[seen], kind='stable')
    present, starts = np.unique(flat[seen][order], return_index=True)
    for k, group in zip(present, np.split(order, starts[1:]), strict=True):
        facing[:, group], coordinates = solids[k].surface(points[:, group])
        material = solids[k].material
        reflectance[:, group] = material.reflectance(coordinates)
        gloss[group], glow[group] = material.gloss, material.glow
    normals[:, seen] = facing
    colour[:, seen] = _shade(scene, points, rays[:, seen], facing, reflectance, gloss, glow)
    haze = 1 - np.exp(-style.haze * depth.ravel()[seen])
    colour[:, seen] += (np.array(style.horizon)[:, None] - colour[:, seen]) * haze
    shape = (3, *size)
    return Buffers(depth, index, normals.reshape(shape), colour.reshape(shape)), solids


def _shade(scene, points, rays, facing, reflectance, gloss, glow) -> np.ndarray:
    """Ambient light from above and below, diffuse light with a cast shadow, a highlight; linear RGB ``[3, N]``."""
    light, (above, below) = scene.light, scene.style.ambient
    if light.distant:
        towards, strength = np.broadcast_to(light.position[:, None], points.shape), 1.0
    else:
        towards = light.position[:, None] - points
        square = (towards * towards).sum(0)
        towards, strength = towards / np.sqrt(square), 1.0 / (0.6 + square)
    cosine = (facing * towards).sum(0)
    lit = cosine > 0
    toward_light = np.flatnonzero(lit)
    lifted = points[:, toward_light] + 2e-3 * facing[:, toward_light]
    lit[toward_light] = ~shadowed(scene, lifted, light)
    strength = strength * lit
    up = 0.5 + 0.5 * facing[1]
    ambient = np.array(below)[:, None] * (1 - up) + np.array(above)[:, None] * up
    shine = np.array(light.colour)[:, None]
    colour = reflectance * (ambient + glow + shine * (np.maximum(cosine, 0) * strength))
    glossy = np.flatnonzero((gloss > 0) & lit)
    if len(glossy):
        half = towards[:, glossy] - rays[:, glossy] / np.sqrt((rays[:, glossy] ** 2).sum(0))
        half /= np.sqrt((half * half).sum(0))
        peak = np.maximum((half * facing[:, glossy]).sum(0), 0) ** 40
        colour[:, glossy] += shine * (gloss[glossy] * peak * np.broadcast_to(strength, gloss.shape)[glossy])
    return colour


def develop(colour: np.ndarray, style: Style, rng: np.random.RandomState) -> np.ndarray:
    """Lens blur, exposure, tone curve and sensor noise: uint8 RGB ``[H, W, 3]`` from linear ``[3, H, W]``."""
    picture = np.ascontiguousarray(np.moveaxis(colour, 0, -1), dtype=np.float32)
    picture = cv2.GaussianBlur(picture, (0, 0), style.blur)
    picture = np.maximum(picture * rng.uniform(*style.exposure), 0)
    picture = (picture / (1 + 0.25 * picture)) ** (1 / 2.2)
    picture += rng.standard_normal(picture.shape).astype(np.float32) * style.noise
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
