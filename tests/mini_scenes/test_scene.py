"""Labels of rendered scenes against slow re-derivations."""

import numpy as np
import pytest

from mtl.mini_scenes import render_scene
from mtl.mini_scenes.labels import CATEGORIES, region_edges, salient_regions
from mtl.mini_scenes.places import PLACES, random_scene
from mtl.mini_scenes.scene import FARTHEST, random_state
from mtl.mini_scenes.styles import STYLES
from mtl.tasks.classes import CLASS_SETS

SIZE = (60, 80)
CASES = [(3, 'day', 'room'), (4, 'dusk', 'street'), (5, 'day', 'meadow'), (6, 'dusk', 'harbour')]


@pytest.fixture(scope='module', params=CASES, ids=lambda case: '-'.join(map(str, case)))
def case(request):
    seed, style, place = request.param
    return request.param, render_scene(seed, SIZE, style, place)


def test_shapes_types_and_ranges(case):
    _, scene = case
    kinds = dict(image=np.uint8, semseg=np.uint8, nyud=np.uint8, human_parts=np.uint8, saliency=np.uint8, edge=np.uint8,
                 depth=np.float32, normals=np.float32, label_map=np.uint16, instances=np.uint16)  # fmt: skip
    for name, kind in kinds.items():
        values = getattr(scene, name)
        assert values.dtype == kind, name
        assert values.shape == (*SIZE, 3) if name in ('image', 'normals') else SIZE, name
    assert scene.semseg.max() <= 20
    assert set(np.unique(scene.nyud)) <= {*range(40), 255}
    assert set(np.unique(scene.human_parts)) <= {*range(7), 255}
    assert set(np.unique(scene.saliency)) == {0, 1}
    assert set(np.unique(scene.edge)) == {0, 1}
    assert 0 <= scene.depth.min() < scene.depth.max() <= FARTHEST


def test_normals_are_those_of_the_back_projected_depth(case):
    (seed, style, place), scene = case
    tangent = random_scene(random_state(seed, style), STYLES[style], place).tangent
    focal = SIZE[1] / 2 / tangent
    x = (np.arange(SIZE[1]) + 0.5 - SIZE[1] / 2) / focal
    y = (np.arange(SIZE[0]) + 0.5 - SIZE[0] / 2)[:, None] / focal
    points = np.stack([x * scene.depth, y * scene.depth, scene.depth], -1).astype(float)
    to_right = points[1:-1, 2:] - points[1:-1, :-2]
    downwards = points[2:, 1:-1] - points[:-2, 1:-1]
    expected = np.cross(downwards, to_right)  # x right, y down, z ahead; towards the camera
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True) + 1e-12
    expected[..., 2] *= -1  # the published z axis points towards the camera
    centre = scene.normals[1:-1, 1:-1]
    flat = (scene.depth[1:-1, 1:-1] > 0) & (scene.depth[1:-1, 1:-1] < 12)
    for dy, dx in [(0, 1), (2, 1), (1, 0), (1, 2)]:
        window = np.s_[dy : dy + SIZE[0] - 2, dx : dx + SIZE[1] - 2]
        flat &= scene.instances[window] == scene.instances[1:-1, 1:-1]
        flat &= (scene.normals[window] * centre).sum(-1) > 0.9998
    angle = np.degrees(np.arccos(np.clip((expected * centre).sum(-1), -1, 1)))[flat]
    assert flat.mean() > 0.08
    assert np.median(angle) < 0.5
    # The rest: parallel faces of one thing at different depths.
    assert np.percentile(angle, 90) < 3


def test_normals_are_unit_and_face_the_viewer(case):
    (seed, style, place), scene = case
    sky = scene.instances == 0
    np.testing.assert_allclose(np.linalg.norm(scene.normals, axis=-1), np.where(sky, 0, 1), atol=1e-5)
    tangent = random_scene(random_state(seed, style), STYLES[style], place).tangent
    focal = SIZE[1] / 2 / tangent
    y, x = np.indices(SIZE) + 0.5
    view = np.stack([(x - SIZE[1] / 2) / focal, (y - SIZE[0] / 2) / focal, -np.ones(SIZE)], -1)
    assert ((scene.normals * view).sum(-1)[~sky] < 1e-6).all()


def test_class_maps_come_from_the_same_regions(case):
    _, scene = case
    by_context = {}
    for category in CATEGORIES.values():
        by_context.setdefault(category.context, set()).add((category.voc, category.nyud))
    for region in np.unique(scene.instances):
        here = scene.instances == region
        assert len(np.unique(scene.label_map[here])) == 1
        triple = scene.semseg[here][0], scene.nyud[here][0]
        assert triple in by_context[scene.label_map[here][0]]
    assert (scene.label_map[scene.instances == 0] == CATEGORIES['sky'].context).all()


def test_edges_are_where_a_neighbour_is_another_instance(case):
    _, scene = case
    height, width = SIZE
    for row in range(height):
        for column in range(width):
            neighbours = [(row + 1, column)] * (row + 1 < height) + [(row, column + 1)] * (column + 1 < width)
            differs = any(scene.instances[n] != scene.instances[row, column] for n in neighbours)
            assert scene.edge[row, column] == differs


def test_parts_lie_on_people_and_only_small_people_lack_them(case):
    _, scene = case
    person = scene.semseg == 15
    labelled = (scene.human_parts > 0) & (scene.human_parts < 255)
    assert not (labelled & ~person).any()
    for region in np.unique(scene.instances[person]):
        body = scene.instances == region
        if body.sum() >= max(12, 0.002 * body.size):
            assert labelled[body].all()
        else:
            assert not labelled[body].any()


def test_places_without_people_have_no_part_labels():
    seeds = range(40)
    scenes = [render_scene(seed, (24, 32), 'day', 'meadow') for seed in seeds]
    empty = [scene for scene in scenes if not (scene.semseg == 15).any()]
    assert empty
    for scene in empty:
        assert (scene.human_parts == 255).all()


def test_saliency_is_the_stated_rule(case):
    _, scene = case
    height, width = SIZE
    prominence = {}
    for region in np.unique(scene.instances[scene.semseg > 0]):
        rows, columns = np.nonzero(scene.instances == region)
        if len(rows) < 0.005 * height * width:
            continue
        prominence[region] = sum(
            np.exp(-2 * (((r + 0.5) / height * 2 - 1) ** 2 + ((c + 0.5) / width * 2 - 1) ** 2))
            for r, c in zip(rows, columns, strict=True)
        )
    ranked = sorted(prominence, key=prominence.get, reverse=True)[:2]
    expected = [region for region in ranked if prominence[region] >= 0.5 * prominence[ranked[0]]]
    np.testing.assert_array_equal(scene.saliency, np.isin(scene.instances, expected))


def test_saliency_of_nothing_is_nothing():
    assert salient_regions(np.zeros((8, 8), int), np.array([False])) == []
    assert salient_regions(np.array([[0, 1] * 4] * 8), np.array([False, True])) == [1]


def test_edge_of_one_region_is_empty():
    assert not region_edges(np.ones((5, 6), np.uint16)).any()


def test_same_arguments_same_scene_and_other_seeds_others():
    one, again, other = (render_scene(seed, (32, 40)) for seed in (11, 11, 12))
    for name in ('image', 'depth', 'normals', 'instances'):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert (one.image != other.image).mean() > 0.5


def test_styles_are_different_domains():
    day, dusk = (
        np.mean([render_scene(seed, (24, 24), style).image.mean((0, 1)) for seed in range(12)], 0) for style in STYLES
    )
    assert day.sum() > dusk.sum() + 25  # darker
    assert dusk[0] / dusk[2] > 1.1 * day[0] / day[2]  # warmer


def test_every_place_renders_at_odd_sizes():
    for number, place in enumerate(PLACES):
        assert render_scene(number, (17, 41), 'dusk', place).image.shape == (17, 41, 3)


@pytest.mark.slow
def test_at_least_ten_classes_occur_often_enough_to_learn():
    for style in STYLES:
        present = np.zeros(21)
        for seed in range(120):
            present[np.unique(render_scene(seed, (48, 48), style).semseg)] += 1
        assert (present[1:] >= 8).sum() >= 12


def test_category_ids_are_classes_of_the_same_meaning():
    voc, nyud = CLASS_SETS['pascal_voc'].names, CLASS_SETS['nyud_40'].names
    assert all(voc[category.voc] in (name, 'background') for name, category in CATEGORIES.items())
    same = {
        'wall',
        'floor',
        'ceiling',
        'door',
        'window',
        'cabinet',
        'shelves',
        'picture',
        'lamp',
        'bed',
        'box',
        'chair',
    }
    assert all(nyud[CATEGORIES[name].nyud] == name for name in same | {'sofa', 'person'})
    assert nyud[CATEGORIES['diningtable'].nyud] == 'table'
    assert nyud[CATEGORIES['tvmonitor'].nyud] == 'television'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(size=(32, 32), style='noon'), 'day, dusk'),
        (dict(size=(32, 32), place='moon'), 'room, street'),
        (dict(size=(4, 32)), 'at least 8'),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        render_scene(0, **arguments)
