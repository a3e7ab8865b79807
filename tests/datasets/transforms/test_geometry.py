"""Image and labels move together, by the rules of their tasks."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.datasets.transforms import RandomFlip, RandomRotateScale, RandomScaleCrop, Resize, ResizeShortSide
from mtl.datasets.transforms.geometry import move, scaling
from mtl.structures import Affine
from mtl.tasks import build_tasks

TASKS = build_tasks(
    dict(
        semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
        human_parts=dict(type='PartSegmentation'),
        saliency=dict(type='Saliency'),
        normals=dict(type='SurfaceNormals'),
        edge=dict(type='Boundary'),
        depth=dict(type='Depth'),
    )
)
few = settings(max_examples=30, deadline=None)
sizes = st.tuples(st.integers(9, 40), st.integers(9, 40))
seeds = st.integers(0, 2**32 - 1)


@st.composite
def transforms(draw):
    """Any of the transforms, with any arguments."""
    size = draw(sizes)
    return draw(
        st.sampled_from(
            [
                Resize(size),
                Resize(size, keep_ratio=True),
                ResizeShortSide(size[0]),
                RandomFlip(1.0),
                RandomRotateScale(draw(st.floats(0, 180)), (0.5, 2.0)),
                RandomScaleCrop(size, (0.5, 2.0)),
                RandomScaleCrop(choices=[1.0, 1.2, 1.5]),
            ]
        )
    )


def random_sample(size, seed):
    """An image and a label of each task, unknown pixels among them."""
    rng = np.random.default_rng(seed)
    normals = rng.normal(size=(*size, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    normals[rng.random(size) < 0.2] = 0
    classes = {
        name: rng.choice([*range(count), 255], size).astype(np.uint8)
        for name, count in dict(semseg=21, human_parts=7, saliency=2, edge=2).items()
    }
    depth = np.where(rng.random(size) < 0.2, 0, rng.uniform(0.5, 9, size)).astype(np.float32)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    sample = dict(img=image, tasks=TASKS, ori_shape=size, gt_normals=normals, gt_depth=depth)
    return sample | {f'gt_{name}': label for name, label in classes.items()}


def labels_of(results):
    return {key[3:]: value for key, value in results.items() if key.startswith('gt_')}


@few
@given(sizes, seeds)
def test_a_flip_twice_is_nothing(size, seed):
    before = random_sample(size, seed)
    once = RandomFlip(1.0).transform(dict(before))
    twice = RandomFlip(1.0).transform(dict(once))
    for key in ('img', *(f'gt_{name}' for name in TASKS)):
        np.testing.assert_array_equal(twice[key], before[key])
        assert twice[key].dtype == before[key].dtype
    np.testing.assert_array_equal(once['img'], before['img'][:, ::-1])
    np.testing.assert_array_equal(once['gt_depth'], before['gt_depth'][:, ::-1])
    np.testing.assert_array_equal(once['gt_normals'], before['gt_normals'][:, ::-1] * np.float32([-1, 1, 1]))


@few
@given(sizes, seeds, transforms())
def test_labels_keep_their_kind(size, seed, transform):
    """No transform invents a value, leaves a normal that is not of unit length, or changes a type."""
    before = random_sample(size, seed)
    np.random.seed(seed)
    after = transform.transform(dict(before))
    assert after['img'].dtype == np.uint8
    for name, task in TASKS.items():
        old, new = before[f'gt_{name}'], after[f'gt_{name}']
        assert new.dtype == old.dtype
        assert new.shape[:2] == after['img'].shape[:2]
        assert task.fault(new) is None
        if name not in ('normals', 'depth'):
            assert set(np.unique(new)) <= {*np.unique(old), 255}
    length = np.linalg.norm(after['gt_normals'], axis=2)
    assert ((length == 0) | (np.abs(length - 1) < 1e-5)).all()
    assert set(np.unique(after['gt_normals'][..., 2])) <= {*np.unique(before['gt_normals'][..., 2]), np.float32(0)}


@few
@given(sizes, seeds, transforms())
def test_missing_labels_stay_missing(size, seed, transform):
    before = random_sample(size, seed)
    some = {key: value for key, value in before.items() if key not in ('gt_semseg', 'gt_normals', 'gt_depth')}
    np.random.seed(seed)
    whole = transform.transform(dict(before))
    np.random.seed(seed)
    part = transform.transform(some)
    assert set(labels_of(part)) == {'human_parts', 'saliency', 'edge'}
    for key in ('img', 'gt_human_parts', 'gt_saliency', 'gt_edge'):
        np.testing.assert_array_equal(part[key], whole[key])  # the others go as if nothing were missing


def nearest_by_hand(label, affine, unknown):
    """Where each destination pixel comes from, one by one; and whether the source lies near a tie of two pixels."""
    inverse = np.linalg.inv(np.vstack([affine.matrix, [0, 0, 1]]))
    moved = np.full((*affine.size, *label.shape[2:]), unknown, label.dtype)
    tie = np.zeros(affine.size, bool)
    for y, x in np.ndindex(*affine.size):
        source = inverse[:2] @ [x, y, 1]
        tie[y, x] = (np.abs(source - np.floor(source) - 0.5) < 2e-3).any()
        column, row = np.floor(source + 0.5).astype(int)
        if 0 <= row < label.shape[0] and 0 <= column < label.shape[1]:
            moved[y, x] = label[row, column]
    return moved, tie


@few
@given(sizes, sizes, seeds)
def test_class_maps_are_sampled_at_the_nearest_pixel(size, new_size, seed):
    rng = np.random.default_rng(seed)
    angle, zoom = rng.uniform(-np.pi, np.pi), rng.uniform(0.4, 2.5)
    turn = zoom * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = (np.array(size[::-1]) - 1) / 2
    about_centre = np.hstack([turn, ((np.array(new_size[::-1]) - 1) / 2 - turn @ centre)[:, None]])
    label = rng.integers(0, 21, size).astype(np.uint8)
    for matrix in (about_centre, scaling(new_size[0] / size[0], new_size[1] / size[1])):
        affine = Affine(matrix, new_size)
        expected, tie = nearest_by_hand(label, affine, 255)
        moved = TASKS['semseg'].transform_target(label, affine)
        np.testing.assert_array_equal(moved[~tie], expected[~tie])


def test_a_resize_covers_the_frame_exactly():
    """The image's corners map to the corners: no border comes in, and 3 x 3 blocks become single pixels."""
    label = np.kron(np.arange(20).reshape(4, 5), np.ones((3, 3))).astype(np.uint8)
    results = dict(img=np.repeat(label[..., None] * 10, 3, axis=2), tasks=TASKS, gt_semseg=label)
    small = Resize((4, 5)).transform(results)
    np.testing.assert_array_equal(small['gt_semseg'], np.arange(20).reshape(4, 5))
    np.testing.assert_array_equal(small['img'][..., 0], np.arange(20).reshape(4, 5) * 10)
    large = Resize((12, 15)).transform(small)
    np.testing.assert_array_equal(large['gt_semseg'], label)
    assert large['img_shape'] == (12, 15)


@pytest.mark.parametrize(('size', 'fitted'), [((60, 60), (45, 60)), ((30, 100), (30, 40)), ((90, 90), (68, 90))])
def test_a_resize_may_keep_the_ratio(size, fitted):
    results = dict(img=np.zeros((30, 40, 3), np.uint8), tasks={})
    assert Resize(size, keep_ratio=True).transform(results)['img'].shape[:2] == fitted


@pytest.mark.parametrize(
    ('size', 'shape', 'fitted'),
    [(60, (30, 40), (60, 80)), (15, (40, 30), (20, 15)), (30, (30, 40), (30, 40)), (20, (10, 800), (1, 80))],
)
def test_a_resize_of_the_short_side(size, shape, fitted):
    results = dict(img=np.zeros((*shape, 3), np.uint8), tasks={}, img_shape=shape)
    results = ResizeShortSide(size).transform(results)
    assert results['img'].shape[:2] == results['img_shape'] == fitted


@few
@given(seeds, transforms())
def test_image_and_labels_move_together(seed, transform):
    """A label painted into the image is found there again, away from its boundaries."""
    rng = np.random.default_rng(seed)
    label = np.kron(rng.integers(1, 3, (3, 4)), np.ones((12, 12))).astype(np.uint8)
    results = dict(img=np.repeat(label[..., None] * 100, 3, axis=2), tasks=TASKS, gt_semseg=label.copy())
    np.random.seed(seed)
    after = transform.transform(results)
    painted = after['img'][..., 0].astype(int)
    moved = after['gt_semseg'].astype(int)
    for value in (1, 2):
        # near its border a label's pixels are mixtures with the neighbour's; inside they show the label
        inside = cv2.erode((moved == value).astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
        shown = painted[inside]
        if shown.size:
            assert (np.abs(shown - value * 100) <= 50).mean() > 0.9
            assert np.median(shown) == value * 100


def sphere(size, centre, radius):
    """Unit normals and depth of a sphere before the camera; zero around it. Centre is (x, y), in pixels."""
    y, x = np.mgrid[: size[0], : size[1]]
    n_x, n_y = (x - centre[0]) / radius, (y - centre[1]) / radius
    inside = n_x**2 + n_y**2 < 1
    n_z = np.sqrt(np.where(inside, 1 - n_x**2 - n_y**2, 0))
    return (np.stack([n_x, n_y, n_z], axis=2) * inside[..., None]).astype(np.float32)


@few
@given(st.floats(-180, 180), st.floats(0.6, 1.6), st.booleans(), st.floats(-9, 9), st.floats(-9, 9))
def test_normals_of_a_sphere_turn_with_it(angle, zoom, mirrored, offset_x, offset_y):
    """A sphere, moved, is a sphere elsewhere: the field there is known in closed form, whatever the rotation."""
    size, centre, radius = (90, 100), np.array([55.0, 40.0]), 22.0
    radians = np.deg2rad(angle)
    turn = zoom * np.array([[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]])
    turn = turn @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array([50.0, 45.0])
    shift = middle - turn @ middle + [offset_x, offset_y]
    affine = Affine(np.hstack([turn, shift[:, None]]), size, zoom)
    moved = TASKS['normals'].transform_target(sphere(size, centre, radius), affine)
    expected = sphere(size, turn @ centre + shift, radius * zoom)
    both = moved.any(axis=2) & expected.any(axis=2)
    assert both.sum() > 100
    # nearest neighbour is off by at most half a source pixel a side
    assert np.abs(moved - expected)[both][..., :2].max() < 0.75 / radius
    only_one = moved.any(axis=2) ^ expected.any(axis=2)
    assert only_one.sum() < 0.2 * both.sum()  # the rim, and what lay outside of the picture


def test_rotation_turns_counter_clockwise_as_drawn():
    """Ninety degrees of the augmentation: what pointed right points up (minus y)."""
    normals = np.zeros((9, 9, 3), np.float32)
    normals[..., 0] = 1
    results = dict(img=np.zeros((9, 9, 3), np.uint8), tasks=TASKS, gt_normals=normals)
    results['img'][4, 8] = 255  # a mark at the right
    turn = Affine(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 8.0]]), (9, 9))
    after = move(results, turn)
    assert after['img'][0, 4].tolist() == [255] * 3
    np.testing.assert_allclose(after['gt_normals'].reshape(-1, 3), [[0, -1, 0]] * 81, atol=1e-6)


@few
@given(st.floats(0.5, 2.0), seeds)
def test_zoom_brings_things_nearer(zoom, seed):
    """A wall at 6 m, magnified by ``zoom``, is at 6 / zoom m; a resize of the whole frame is no zoom."""
    wall = np.full((30, 40), 6, np.float32)
    results = dict(img=np.zeros((30, 40, 3), np.uint8), tasks=TASKS, gt_depth=wall)
    np.random.seed(seed)
    for transform in (RandomScaleCrop(scale=(zoom, zoom)), RandomRotateScale(5.0, (zoom, zoom))):
        depth = transform.transform(dict(results))['gt_depth']
        np.testing.assert_allclose(depth[depth > 0], 6 / zoom, rtol=1e-6)
        assert (depth > 0).any()
    np.testing.assert_array_equal(Resize((15, 90)).transform(dict(results))['gt_depth'], 6.0)


@pytest.mark.parametrize('zoom', [0.4, 0.8])
def test_depth_is_as_labelled_at_the_reference_zoom(zoom):
    """A frame of 480 rows that is tested at 240: at a zoom of 0.5 the scene is as near as it will be there."""
    results = dict(img=np.zeros((30, 40, 3), np.uint8), tasks=TASKS, gt_depth=np.full((30, 40), 6, np.float32))
    depth = RandomScaleCrop(scale=(zoom, zoom), reference=0.5).transform(results)['gt_depth']
    np.testing.assert_allclose(depth[depth > 0], 6 * 0.5 / zoom, rtol=1e-6)
    assert (depth > 0).any()


@few
@given(seeds)
def test_what_a_move_brings_in_is_unknown(seed):
    """Shrunk to half in its frame, an image leaves a border; there every task knows nothing, not even background."""
    results = dict(
        img=np.zeros((40, 40, 3), np.uint8),
        tasks=TASKS,
        gt_normals=np.tile(np.float32([0, 0, 1]), (40, 40, 1)),
        gt_depth=np.ones((40, 40), np.float32),
        **{f'gt_{name}': np.zeros((40, 40), np.uint8) for name in ('semseg', 'human_parts', 'saliency', 'edge')},
    )
    np.random.seed(seed)
    after = RandomScaleCrop(scale=(0.5, 0.5)).transform(results)
    for name, task in TASKS.items():
        label = after[f'gt_{name}']
        unknown = (label == task.ignore_value) if label.ndim == 2 else ~label.any(axis=2)
        assert (~unknown).sum() == 400
        assert (after['img'][unknown] > 0).all()  # the mean colour


@few
@given(sizes, sizes, st.floats(0.5, 2.0), seeds)
def test_the_window_lies_within_the_zoomed_image_or_around_it(size, window, zoom, seed):
    label = np.ones(size, np.uint8)
    results = dict(img=np.zeros((*size, 3), np.uint8), tasks=TASKS, gt_saliency=label)
    np.random.seed(seed)
    after = RandomScaleCrop(window, (zoom, zoom)).transform(results)['gt_saliency']
    assert after.shape == window
    known = (after == 1).any(axis=1).sum(), (after == 1).any(axis=0).sum()
    for seen, old, new in zip(known, size, window, strict=True):
        assert abs(seen - min(round(old * zoom), new)) <= 1


def test_draws_come_from_numpy_and_cover_their_range():
    results = dict(img=np.arange(1200, dtype=np.uint16).astype(np.uint8).reshape(20, 20, 3), tasks={})
    pictures = []
    for _ in range(2):
        np.random.seed(5)
        transforms = RandomFlip(0.5), RandomRotateScale(20, (0.75, 1.25)), RandomScaleCrop((16, 16), (0.5, 2.0))
        pictures.append([t.transform(dict(results))['img'] for t in transforms for _ in range(8)])
    for first, second in zip(*pictures, strict=True):
        np.testing.assert_array_equal(first, second)
    assert len({picture.tobytes() for picture in pictures[0][:8]}) == 2
    assert len({picture.tobytes() for picture in pictures[0]}) == 2 + 8 + 8
