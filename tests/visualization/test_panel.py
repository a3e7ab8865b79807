"""Panels: the right picture in the right place."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.visualization import TensorboardVisBackend

from mtl.structures import MultiTaskDataSample
from mtl.tasks import build_tasks
from mtl.visualization import MultiTaskVisualizer, draw_panel
from mtl.visualization import panel as module
from mtl.visualization.canvas import GAP, STRIP

TASKS = build_tasks(
    dict(semseg=dict(type='SemanticSegmentation', classes='pascal_voc'), normals=dict(type='SurfaceNormals'))
)


def sample(**fields):
    return MultiTaskDataSample(metainfo=dict(sample_id='scene_1', dataset='MiniScenes'), **fields)


def tile(panel, row, column, size=(40, 60)):
    top, left = STRIP + row * (size[0] + GAP), column * (size[1] + GAP)
    return panel[top : top + size[0], left : left + size[1]]


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_tiles_are_the_tasks_drawings(image):
    label, prediction = torch.full((40, 60), 3, dtype=torch.uint8), torch.full((40, 60), 5, dtype=torch.uint8)
    normals = torch.zeros(3, 40, 60)
    normals[2] = 1.0
    made = sample(gt_semseg=label, pred_semseg=prediction, gt_normals=normals, pred_normals=-normals)
    panel = draw_panel(image, made, TASKS, height=40)
    assert panel.shape[1:] == (3 * 60 + 2 * GAP, 3)
    assert np.array_equal(tile(panel, 0, 0), image)
    assert np.array_equal(tile(panel, 0, 1), TASKS['semseg'].draw(label))
    assert np.array_equal(tile(panel, 1, 1), TASKS['semseg'].draw(prediction))
    assert np.array_equal(tile(panel, 0, 2), TASKS['normals'].draw(normals))
    assert np.array_equal(tile(panel, 1, 2), TASKS['normals'].draw(-normals))


def test_what_is_absent_is_grey_and_hatched_not_black(image):
    panel = draw_panel(image, sample(pred_semseg=torch.zeros(40, 60, dtype=torch.uint8)), TASKS, height=40)
    for row, column in ((0, 1), (0, 2), (1, 2)):
        shades = np.unique(tile(panel, row, column))
        assert {160, 205} <= set(shades.tolist())
        assert shades.min() > 0
    assert not tile(panel, 1, 1).any()  # predicted background is black


def test_labels_of_another_resolution_are_brought_to_the_tile(image):
    made = sample(gt_semseg=torch.full((400, 600), 3, dtype=torch.uint8))
    assert draw_panel(image, made, TASKS, height=40).shape[1:] == (3 * 60 + 2 * GAP, 3)


def test_the_legend_names_the_classes_of_label_and_prediction(image, monkeypatch):
    legends = []
    draw = module.draw_legend
    monkeypatch.setattr(module, 'draw_legend', lambda legend, width: legends.append(legend) or draw(legend, width))
    label, prediction = torch.full((40, 60), 3, dtype=torch.uint8), torch.full((80, 120), 5, dtype=torch.uint8)
    prediction[0] = 3
    panel = draw_panel(image, sample(gt_semseg=label, pred_semseg=prediction), TASKS, height=40)
    names = TASKS['semseg'].classes.names
    assert legends[0].names == (names[3], names[5])
    assert legends[1] is None  # no map of normals, no ball
    below = STRIP + 2 * 40 + GAP
    assert np.array_equal(panel[below : below + len(draw(legends[0], 60)), 64:124], draw(legends[0], 60))


def test_the_visualizer_writes_the_file_and_tells_tensorboard(image, tmp_path):
    visualizer = MultiTaskVisualizer(
        name='panel test',
        vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')],
        save_dir=str(tmp_path),
    )
    received = []
    backend = next(b for b in visualizer._vis_backends.values() if isinstance(b, TensorboardVisBackend))
    backend.add_image = lambda name, picture, step: received.append((name, picture, step))
    visualizer.add_datasample('panel/scene_1', image, sample(), TASKS, out_file=tmp_path / 'a' / 'b.png', step=3)
    ((name, picture, step),) = received
    assert (name, step) == ('panel/scene_1', 3)
    assert np.array_equal(picture, draw_panel(image, sample(), TASKS))
    assert np.array_equal(cv2.imread(str(tmp_path / 'a' / 'b.png'))[..., ::-1], picture)
    assert not (tmp_path / 'vis_data' / 'vis_image').exists()
