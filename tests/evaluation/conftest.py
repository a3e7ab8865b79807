"""Samples for metrics."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import DefaultScope

from mtl.tasks import build_tasks

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['sky', 'road', 'tree', 'car']),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
    depth=dict(type='Depth'),
)


@pytest.fixture(autouse=True)
def mtl_scope():
    with DefaultScope.overwrite_default_scope('mtl'):
        yield


@pytest.fixture
def logged(monkeypatch) -> list[str]:
    """Everything that the evaluation logs."""
    messages: list[str] = []
    for module in ('additive', 'evaluator'):
        monkeypatch.setattr(f'mtl.evaluation.{module}.print_log', lambda text, **_: messages.append(text))
    return messages


@pytest.fixture
def tasks():
    return build_tasks(TASKS)


def make_sample(seed: int, height: int = 24, width: int = 30) -> dict:
    """A sample with labels and imperfect predictions of all tasks, a tenth of the labels unknown."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(*shape, generator=generator)

    unknown = rand(height, width) < 0.1
    classes = (rand(height, width) * 4).long().byte()
    positive = (rand(height, width) < 0.3).byte()
    normals = torch.nn.functional.normalize(
        rand(3, height, width) - torch.tensor([0.5, 0.5, 0.1])[:, None, None], dim=0
    )
    depth = 1 + 4 * rand(height, width)
    return dict(
        sample_id=f'image{seed}',
        gt_semseg=classes.masked_fill(unknown, 255),
        pred_semseg=torch.where(rand(height, width) < 0.6, classes, torch.tensor(1, dtype=torch.uint8)),
        gt_saliency=positive.masked_fill(unknown, 255),
        pred_saliency=0.4 * positive + 0.6 * rand(height, width),
        gt_edge=positive.masked_fill(unknown, 255),
        pred_edge=0.4 * positive + 0.6 * rand(height, width),
        gt_normals=normals.masked_fill(unknown, 0),
        pred_normals=normals + 0.3 * rand(3, height, width),
        gt_depth=depth.masked_fill(unknown, 0),
        pred_depth=depth * (0.7 + 0.6 * rand(height, width)),
    )


@pytest.fixture
def samples():
    return [make_sample(seed, height=20 + seed) for seed in range(4)]


def run(metric, samples) -> dict[str, float]:
    """Values without prefix."""
    for sample in samples:
        metric.process(None, [sample])
    return {name.split('/', 1)[1]: value for name, value in metric.evaluate(len(samples)).items()}
