"""Intersections against marching along the ray through the solid's definition as a set of points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.mini_scenes.solids import Capsule, Cylinder, HalfSpace, Polyhedron, Solid, Sphere, tapered_box
from mtl.mini_scenes.textures import PATTERNS, Material
from mtl.mini_scenes.things import block, drum, rod, turn_y

STEP = 2e-3
GREY = Material(np.full(3, 0.5))

# Which points [3, N] of the local frame belong to each shape, written from its description alone.
MEMBERS = {
    'sphere': (Sphere(), lambda p: (p**2).sum(0) < 1),
    'cylinder': (Cylinder(), lambda p: (np.hypot(p[0], p[2]) < 1) & (np.abs(p[1]) < 1)),
    'capsule': (
        Capsule(0.7),
        lambda p: np.min([np.linalg.norm(p - [[0], [y], [0]], axis=0) for y in np.linspace(-0.7, 0.7, 57)], 0) < 1,
    ),
    'half-space': (HalfSpace(), lambda p: p[1] < 0),
    'wall': (HalfSpace(axis=2), lambda p: p[2] < 0),
    'tapered box': (
        Polyhedron(*tapered_box((2, 1.6), (1, 0.8), 1.5, top_shift=0.2)),
        # At height y the box is a rectangle between those of the bottom and the top.
        lambda p: (
            (p[1] > 0)
            & (p[1] < 1.5)
            & (np.abs(p[0]) < 1 - 0.5 * p[1] / 1.5)
            & (np.abs(p[2] - 0.2 * p[1] / 1.5) < 0.8 - 0.4 * p[1] / 1.5)
        ),
    ),
}


@pytest.mark.parametrize('name', MEMBERS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_entry_is_where_marching_first_finds_the_solid(name, seed):
    shape, contains = MEMBERS[name]
    rng = np.random.RandomState(seed)
    start = rng.normal(size=3)
    start *= 3 / np.linalg.norm(start)
    if contains(start[:, None])[0]:
        start = -start  # only the half-spaces reach so far out
    direction = rng.uniform(-0.9, 0.9, 3) - start
    t = np.arange(0, 2, STEP)
    inside = contains(start[:, None] + t * direction[:, None])
    found = shape.intersect(start[:, None], direction[:, None])[0]
    runs = inside.nonzero()[0]
    if len(runs) > 5:
        assert found == pytest.approx(t[runs[0]], abs=2 * STEP)
    elif np.isfinite(found):  # a graze: shorter than the march can tell, or beyond it
        assert (
            len(runs) or found > t[-1] - STEP or not contains(start[:, None] + (found + 6 * STEP) * direction[:, None])
        )


@pytest.mark.parametrize('name', MEMBERS)
def test_normals_point_from_inside_to_outside(name):
    shape, contains = MEMBERS[name]
    rng = np.random.RandomState(1)
    start = np.array([[2.0], [2.5], [3.0]])
    direction = rng.uniform(-0.8, 0.8, (3, 400)) - start
    t = shape.intersect(start, direction)
    points = (start + t * direction)[:, np.isfinite(t)]
    assert points.shape[1] > 50
    normals = shape.normals(points)
    normals = normals / np.linalg.norm(normals, axis=0)
    assert np.mean(contains(points - 5e-3 * normals)) > 0.97
    assert not contains(points + 5e-3 * normals).any()


def test_parallel_rays_hit_and_miss_axis_aligned_faces():
    box = block((0, 0, 0), (2, 2, 2), GREY)
    ahead = np.array([[0.0], [0.0], [1.0]])
    assert box.intersect(np.array([[0.5], [1.0], [-3.0]]), ahead)[0] == pytest.approx(2.0)
    assert np.isinf(box.intersect(np.array([[1.5], [1.0], [-3.0]]), ahead)[0])
    tube = drum((0, 0, -1), (0, 0, 1), 0.5, GREY)
    assert tube.intersect(np.array([[0.1], [0.2], [-3.0]]), ahead)[0] == pytest.approx(2.0)
    pill = rod((0, 0, -1), (0, 0, 1), 0.5, GREY)
    assert pill.intersect(np.array([[0.0], [0.0], [-3.0]]), ahead)[0] == pytest.approx(1.5, abs=1e-5)


def test_nothing_behind_the_start_is_hit():
    ahead = np.array([[0.0], [0.0], [1.0]])
    for shape, _ in MEMBERS.values():
        solid = Solid(shape, np.eye(3), np.array([0.0, -1.0, -4.0]), GREY)
        assert np.isinf(solid.intersect(np.zeros((3, 1)), ahead)[0])


@settings(max_examples=25, deadline=None)
@given(yaw=st.floats(-3, 3), scale=st.floats(0.3, 3), seed=st.integers(0, 1000))
def test_moving_solid_and_ray_together_changes_nothing(yaw, scale, seed):
    rng = np.random.RandomState(seed)
    solid = rod((0, 0, 0), (0.3, 0.8, 0.2), 0.4, GREY, flatten=0.6)
    linear, offset = scale * turn_y(yaw), rng.normal(size=3)
    start, direction = np.array([[0.0], [0.4], [-3.0]]), rng.normal(size=(3, 50)) * 0.2 + [[0], [0], [1]]
    before = solid.intersect(start, direction)
    after = solid.moved(linear, offset).intersect(linear @ start + offset[:, None], linear @ direction)
    np.testing.assert_allclose(after, before, rtol=1e-6)


@pytest.mark.parametrize('pattern', PATTERNS)
def test_reflectance_stays_between_its_two_colours(pattern):
    points = np.random.RandomState(0).uniform(-5, 5, (3, 2000))
    material = Material(np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.9, 0.5]), pattern)
    colours = material.reflectance(points)
    assert (colours >= [[0.1], [0.2], [0.3]]).all()
    assert (colours <= [[0.4], [0.9], [0.5]]).all()
    assert (pattern == 'plain') == (np.ptp(colours, axis=1) == 0).all()
