"""The panel of predictions: image first, one tile a task that ran, maps drawn by their tasks."""

import numpy as np
import pytest
import torch

from mtl.structures import MultiTaskDataSample
from mtl.tasks import build_tasks
from mtl.visualization import draw_labels, draw_legend, draw_predictions
from mtl.visualization.canvas import GAP, STRIP, absent, fit

TASKS = build_tasks(
    dict(
        semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
        depth=dict(type='Depth'),
        edge=dict(type='Boundary'),
    )
)
SIZE = (40, 120)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@pytest.fixture
def sample():
    ids = torch.randint(0, 3, SIZE, dtype=torch.uint8)
    return MultiTaskDataSample(pred_semseg=ids, pred_depth=torch.rand(SIZE) * 12)


def test_tiles(image, sample):
    panel = draw_predictions(image, sample, TASKS, opacity=0.4, height=40, columns=3)
    assert panel.shape[1] == 3 * 120 + 2 * GAP  # the boundary did not run

    def tile(column):
        return panel[STRIP : STRIP + 40, column * (120 + GAP) : column * (120 + GAP) + 120]

    assert np.array_equal(tile(0), image)
    assert np.array_equal(tile(1), TASKS['semseg'].overlay(image, sample.pred_semseg, 0.4))
    assert np.array_equal(tile(2), TASKS['depth'].draw(sample.pred_depth))
    legend = draw_legend(TASKS['depth'].legend(sample.pred_depth), 120)
    below = panel[STRIP + 40 : STRIP + 40 + len(legend), 2 * (120 + GAP) :]
    assert np.array_equal(below, legend)


@pytest.mark.parametrize(('size', 'columns'), [((20, 120), 1), ((100, 100), 2), ((200, 50), 4)])
def test_the_panel_has_the_shape_of_a_screen(size, columns):
    image = np.zeros((*size, 3), np.uint8)
    fields = {f'pred_{name}': torch.zeros(size) for name in TASKS}
    panel = draw_predictions(image, MultiTaskDataSample(**fields), TASKS, height=100)
    width = round(100 * size[1] / size[0])
    assert panel.shape[1] == columns * width + (columns - 1) * GAP


def test_large_photographs_are_drawn_from_fewer_pixels():
    rows, columns = torch.meshgrid(torch.linspace(1, 9, 400), torch.linspace(0, 3, 600), indexing='ij')
    ids = torch.zeros(400, 600, dtype=torch.uint8)
    ids[7, 9] = 2  # lost in the tile, named in the legend
    image = np.full((400, 600, 3), 200, np.uint8)
    made = MultiTaskDataSample(pred_semseg=ids, pred_depth=rows + columns)
    panel = draw_predictions(image, made, TASKS, height=40, columns=3)
    found = panel[STRIP : STRIP + 40, 2 * (60 + GAP) :].astype(int)
    expected = fit(TASKS['depth'].draw(rows + columns), (40, 60)).astype(int)
    assert np.abs(found - expected).max() <= 6
    below = panel[STRIP + 40 :, 60 + GAP : 120 + GAP]
    assert (below == TASKS['semseg'].classes.palette[2]).all(axis=2).any()


def test_a_prediction_of_another_size_is_refused(image):
    made = MultiTaskDataSample(pred_depth=torch.ones(20, 60))
    with pytest.raises(ValueError, match=r'depth has the size \[20, 60\], its image \[40, 120\]'):
        draw_predictions(image, made, TASKS)


def test_labels_that_are_missing_or_unknown_say_so(image):
    known = torch.randint(0, 3, SIZE, dtype=torch.uint8)
    sample = MultiTaskDataSample(gt_semseg=known, gt_edge=torch.full(SIZE, 255, dtype=torch.uint8))
    panel = draw_labels(image, sample, TASKS, opacity=0.5, height=40, columns=4)

    def tile(column):
        return panel[STRIP : STRIP + 40, column * (120 + GAP) : column * (120 + GAP) + 120]

    assert np.array_equal(tile(1), TASKS['semseg'].overlay(image, known, 0.5))
    assert np.array_equal(tile(2), absent('no label', SIZE))
    assert np.array_equal(tile(3), absent('unknown', SIZE))


def test_labels_of_their_own_resolution(image):
    sample = MultiTaskDataSample(gt_depth=torch.rand(80, 240) + 1)
    assert draw_labels(image, sample, TASKS, height=40).shape[2] == 3


@pytest.mark.parametrize('shape', [(1, 30000), (30000, 1), (3, 2000)])
def test_a_strip_makes_no_giant(shape):
    sample = MultiTaskDataSample(pred_depth=torch.ones(shape))
    panel = draw_predictions(np.zeros((*shape, 3), np.uint8), sample, build_tasks(dict(depth=dict(type='Depth'))))
    assert panel.nbytes < 20e6


@pytest.mark.parametrize('shape', [(9, 12), (480, 640), (3000, 2000), (100, 1000), (1000, 100), (1, 30000), (30000, 1)])
@pytest.mark.parametrize('tasks', [1, 3, 6, 20])
def test_panels_fill_a_screen(shape, tasks):
    """Small and large photographs, one task and many: the long side is that of a screen."""
    kinds = [dict(type='Depth'), dict(type='SurfaceNormals'), dict(type='SemanticSegmentation', classes='nyud_40')]
    many = build_tasks({f'task {number}': kinds[number % 3] for number in range(tasks)})
    labels = MultiTaskDataSample()
    classes = torch.arange(shape[0] * shape[1]).reshape(shape) % 40
    values = torch.ones(shape), torch.ones(3, *shape) / 3**0.5, classes.to(torch.uint8)  # every class is in the legend
    predictions = MultiTaskDataSample(**{f'pred_task {n}': values[n % 3] for n in range(tasks)})
    image = np.zeros((*shape, 3), np.uint8)
    for panel in (draw_predictions(image, predictions, many), draw_labels(image, labels, many)):
        assert 800 <= max(panel.shape[:2]) <= 2000
