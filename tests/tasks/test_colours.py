"""Palettes, legends and overlays: what a person sees."""

import itertools

import numpy as np
import pytest
import torch

from mtl.tasks import PALETTES, SemanticSegmentation, build_tasks
from mtl.tasks.classes import resolve_classes
from mtl.tasks.colour_blind import DEFICIENCIES, as_seen, colour_blind_safe_palette
from mtl.tasks.legends import ClassLegend, PictureLegend, ScaleLegend

TASKS = build_tasks(
    dict(
        semseg=dict(type='SemanticSegmentation', classes=['background', 'road', 'tree', 'car']),
        saliency=dict(type='Saliency'),
        normals=dict(type='SurfaceNormals'),
        edge=dict(type='Boundary'),
        depth=dict(type='Depth', max_depth=8.0),
    )
)


def nearest_pair(palette, deficiency):
    """Smallest CIELAB distance of two colours, pair by pair."""
    seen = as_seen(palette, deficiency)
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


@pytest.mark.parametrize('count', [7, 10, 21, 40])
def test_the_safe_palette_is_told_apart_by_everybody(count):
    worst = {
        name: min(nearest_pair(palette(count), deficiency) for deficiency in (None, *DEFICIENCIES))
        for name, palette in PALETTES.items()
    }
    assert worst['colour_blind_safe'] > 10  # CIELAB: about 2 is just noticeable
    assert worst['colour_blind_safe'] > 3 * max(worst['voc'], worst['golden'])
    palette = colour_blind_safe_palette(count)
    assert palette.shape == (count, 3)
    assert palette.dtype == np.uint8
    assert not palette[0].any()


def test_deficiencies_leave_grey_alone_and_join_what_they_confuse():
    grey = np.repeat(np.arange(0, 256, 51)[:, None], 3, axis=1)
    for deficiency in DEFICIENCIES:
        np.testing.assert_allclose(as_seen(grey, deficiency), as_seen(grey), atol=0.1)
    red_green = np.array([[200, 60, 0], [97, 97, 0]])
    full = nearest_pair(red_green, None)
    assert nearest_pair(red_green, 'deuteranopia') < 0.5 * full


def test_palettes_by_name_by_colours_and_wrong_ones():
    names = ['background', 'road', 'tree']
    (task,) = build_tasks(
        dict(t=dict(type='SemanticSegmentation', classes=names, palette='colour_blind_safe'))
    ).values()
    assert np.array_equal(task.classes.palette, colour_blind_safe_palette(3))
    assert task.classes.names == tuple(names)
    colours = [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    task = SemanticSegmentation(names, palette=colours)
    assert task.draw(torch.tensor([[2]]))[0, 0].tolist() == [4, 5, 6]
    for palette, words in (('rainbow', 'Known: voc, golden'), (colours[:2], r'3 classes.*\[2, 3\]')):
        with pytest.raises(ValueError, match=words):
            SemanticSegmentation(names, palette=palette)
    assert not np.array_equal(resolve_classes('pascal_voc').palette, colour_blind_safe_palette(21))  # left alone


def test_classes_that_occur_the_largest_first():
    legend = TASKS['semseg'].legend(torch.tensor([[3, 3, 3, 1], [255, 255, 255, 255]], dtype=torch.uint8))
    assert isinstance(legend, ClassLegend)
    assert legend.names == ('car', 'road')
    assert np.array_equal(legend.colours, TASKS['semseg'].classes.palette[[3, 1]])


def test_the_depth_scale_is_what_is_drawn():
    depth = torch.linspace(0.01, 9.0, 50)[None]
    legend = TASKS['depth'].legend(depth)
    assert (legend.low, legend.high, legend.unit, legend.beyond) == (0.0, 8.0, 'm', True)
    assert not TASKS['depth'].legend(depth.clamp(max=8.0)).beyond
    drawn = TASKS['depth'].draw(depth)[0].astype(int)
    for metres, colour in zip(depth[0].tolist(), drawn, strict=True):
        expected = legend.colours[round(min(metres / 8.0, 1.0) * 255)].astype(int)
        assert np.abs(colour - expected).max() <= 5  # a step of the table


def test_equal_steps_of_depth_look_equal():
    """Lightness falls with every step, by nearly the same amount; the table is matplotlib's viridis."""
    colours = TASKS['depth'].legend(torch.ones(1, 1)).colours
    lightness = as_seen(colours)[:, 0]
    steps = lightness[:-8] - lightness[8:]
    assert steps.min() > 0.5 * steps.mean()
    assert steps.max() < 2 * steps.mean()
    matplotlib = pytest.importorskip('matplotlib')
    reference = (matplotlib.colormaps['viridis'](np.arange(256))[:, :3] * 255)[::-1]
    assert np.abs(reference - colours).max() < 1


def test_the_ball_of_normals_has_the_colours_of_normals():
    legend = TASKS['normals'].legend(torch.zeros(3, 2, 2))
    assert isinstance(legend, PictureLegend)
    size = legend.picture.shape[0]
    middle = legend.picture[size // 2, size // 2].astype(int)
    facing = TASKS['normals'].draw(torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1))[0, 0].astype(int)
    assert np.abs(middle - facing).max() < 6
    right, lower = legend.picture[size // 2, -3].astype(int), legend.picture[-3, size // 2].astype(int)
    assert right[0] > 220  # x points to the right
    assert lower[1] > 220  # y points down
    assert legend.picture[0, 0].tolist() == [255, 255, 255]


def test_probabilities_have_a_grey_scale():
    for name in ('saliency', 'edge'):
        legend = TASKS[name].legend(torch.zeros(2, 2))
        assert isinstance(legend, ScaleLegend)
        assert (legend.low, legend.high) == (0.0, 1.0)
        assert np.array_equal(legend.colours, np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize('name', ['semseg', 'edge'])
def test_opacity_goes_from_the_image_to_the_picture(name, image):
    task = TASKS[name]
    values = torch.randint(0, task.out_channels, (6, 8)).byte() if name == 'semseg' else torch.rand(6, 8)
    assert np.array_equal(task.overlay(image, values, 0.0), image)
    assert np.array_equal(task.overlay(image, values, 1.0), task.draw(values))


def test_classes_tint_and_background_darkens_a_little(image):
    values = torch.tensor([[0, 1, 255, 2, 0, 1, 255, 2]] * 6, dtype=torch.uint8)
    picture, drawn = TASKS['semseg'].overlay(image, values, 0.5), TASKS['semseg'].draw(values)
    for y, x in np.ndindex(6, 8):
        weight = 0.125 if values[y, x] in (0, 255) else 0.5
        expected = (1 - weight) * image[y, x] + weight * drawn[y, x]
        assert np.abs(picture[y, x] - expected).max() <= 0.51


def test_saliency_dims_what_is_not_salient(image):
    values = torch.rand(6, 8)
    assert np.array_equal(TASKS['saliency'].overlay(image, values, 0.0), image)
    assert np.array_equal(TASKS['saliency'].overlay(image, torch.ones(6, 8), 0.7), image)
    picture = TASKS['saliency'].overlay(image, values, 0.7)
    for y, x in np.ndindex(6, 8):
        assert np.abs(picture[y, x] - image[y, x] * (1 - 0.7 * (1 - values[y, x].item()))).max() <= 1.0


@pytest.mark.parametrize('name', ['normals', 'depth'])
def test_colours_that_are_numbers_are_not_mixed_with_the_image(name, image):
    values = torch.rand(3, 6, 8) if name == 'normals' else torch.rand(6, 8)
    assert np.array_equal(TASKS[name].overlay(image, values, 0.3), TASKS[name].draw(values))
