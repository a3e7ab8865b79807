"""The ray caster's short cuts against casting every ray at every solid."""

import numpy as np
import pytest

from mtl.mini_scenes.places import PLACES, random_scene
from mtl.mini_scenes.render import camera_rays, cast, render, shadowed
from mtl.mini_scenes.stage import Light, Scene
from mtl.mini_scenes.styles import STYLES
from mtl.mini_scenes.textures import Material
from mtl.mini_scenes.things import Thing, ball, block, ground

GREY = Material(np.full(3, 0.5))


def scene_of(*things, height=1.5, light=None):
    """A level camera that looks along z, 90 degrees wide."""
    axes = np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, 1]])
    light = light or Light(np.array([0.0, 1, 0]), np.ones(3), distant=True)
    return Scene(STYLES['day'], np.array([0.0, height, 0]), axes, 1.0, light, list(things))


def test_depth_of_the_ground_and_of_a_ball_is_the_analytic_one():
    scene = scene_of(Thing('floor', (ground(0, GREY),), False), Thing('box', (ball((0, 1.5, 5), 1.0, GREY),)))
    buffers, _ = render(scene, (60, 80))
    below = (np.arange(60) + 0.5 - 30) / 40  # tangent of the angle below the horizon, by row
    floor = buffers.solid == 0
    assert not floor[:30].any()
    np.testing.assert_allclose(buffers.depth[40:, 0], 1.5 / below[40:], rtol=1e-9)
    np.testing.assert_allclose(buffers.normals[:, floor], np.repeat([[0.0], [1], [0]], floor.sum(), axis=1))
    # Nearest point of the ball: one metre before its centre. Silhouette: sin(angle) = 1 / 5.
    assert buffers.depth[30, 40] == pytest.approx(4.0, abs=4e-3)  # half a pixel beside the axis
    radius = np.sqrt((buffers.solid == 1).sum() / np.pi) / 40
    assert radius == pytest.approx(np.tan(np.arcsin(1 / 5)), rel=0.02)
    rays = camera_rays(scene, (60, 80))
    hit = scene.eye[:, None, None] + rays * np.where(buffers.solid == 1, buffers.depth, 0)
    outward = hit - np.array([0, 1.5, 5])[:, None, None]
    np.testing.assert_allclose(buffers.normals[:, buffers.solid == 1], outward[:, buffers.solid == 1], atol=1e-9)


def test_pixels_are_square_whatever_the_picture_is():
    rays = camera_rays(scene_of(), (30, 100))
    assert rays[0, 0, 1] - rays[0, 0, 0] == pytest.approx(rays[1, 0, 0] - rays[1, 1, 0])
    np.testing.assert_allclose(rays[2], 1)


@pytest.mark.parametrize('place', PLACES)
def test_bounding_rectangles_lose_no_pixel(place):
    scene = random_scene(np.random.RandomState(5), STYLES['day'], place)
    solids = [solid for thing in scene.things for solid in thing.solids]
    rays = camera_rays(scene, (36, 48))
    depth, index = cast(scene, solids, rays)
    every = np.stack([solid.intersect(scene.eye[:, None], rays.reshape(3, -1)) for solid in solids])
    np.testing.assert_array_equal(depth.ravel(), every.min(0))
    seen = np.isfinite(every.min(0))
    np.testing.assert_array_equal(index.ravel()[seen], every.argmin(0)[seen])
    assert (index.ravel()[~seen] == -1).all()


@pytest.mark.parametrize('place', PLACES)
def test_bounding_spheres_lose_no_shadow(place):
    scene = random_scene(np.random.RandomState(6), STYLES['dusk'], place)
    rng = np.random.RandomState(0)
    points = np.stack([rng.uniform(-3, 3, 600), rng.uniform(0.01, 2, 600), rng.uniform(0, 7, 600)])
    sun = scene.light.distant
    towards = np.repeat(scene.light.position[:, None], 600, 1) if sun else scene.light.position[:, None] - points
    expected = np.zeros(600, bool)
    for thing in scene.things:
        if thing.casts_shadow:
            for solid in thing.solids:
                expected |= solid.intersect(points, towards) < (np.inf if sun else 1)
    np.testing.assert_array_equal(shadowed(scene, points, scene.light), expected)
    assert 0 < expected.mean() < 1


def test_a_box_under_the_sun_shades_the_ground_beside_it():
    sun = Light(np.array([1.0, 1.0, 0.0]) / np.sqrt(2), np.ones(3), distant=True)
    scene = scene_of(Thing('floor', (ground(0, GREY),), False), Thing('box', (block((0, 0, 4), (1, 1, 1), GREY),)))
    x = np.array([-2.0, -1.4, -0.6, 0.6, 1.4])  # the shadow of height 1 at 45 degrees reaches from -0.5 to -1.5
    points = np.stack([x, np.full(5, 1e-3), np.full(5, 4.0)])
    assert shadowed(scene, points, sun).tolist() == [False, True, True, False, False]
    lamp = Light(np.array([0.0, 2.0, 4.0]), np.ones(3), distant=False)
    above = np.array([[0.0, 0, 0, 1.5], [1.5, 1e-3, 3.0, 1e-3], [4.0, 2, 4, 4]])
    assert shadowed(scene, above[:, :3], lamp).tolist() == [False, False, False]
    # From a lamp at twice the height, the box shades the ground up to twice its half width.
    ground_points = np.array([[0.6, 0.95, 1.05], [1e-3] * 3, [4.0] * 3])
    assert shadowed(scene, ground_points, lamp).tolist() == [True, True, False]


def test_the_picture_is_darker_in_the_shadow_and_hazier_far_away():
    sun = Light(np.array([1.0, 1.0, 0.0]) / np.sqrt(2), np.ones(3), distant=True)
    box = Thing('box', (block((0, 0, 4), (1, 1, 1), GREY),))
    floor = Thing('floor', (ground(0, GREY),), casts_shadow=False)
    buffers, _ = render(scene_of(floor, box, light=sun), (60, 80))
    # The ground at (x, 0, 4) is seen x / 4 of the focal length (40) aside and 1.5 / 4 below the middle.
    row = int(30 + 1.5 / 4 * 40)
    shaded, lit = (buffers.colour[0, row, int(40 + x / 4 * 40)] for x in (-1.0, 1.0))
    assert shaded < 0.6 * lit
    horizon = STYLES['day'].horizon[0]
    near, far = (abs(buffers.colour[0, row, 70] - horizon) for row in (58, 31))
    assert far < near
