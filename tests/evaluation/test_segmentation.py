import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score

from mtl.evaluation import SegmentationMetric
from mtl.tasks import SemanticSegmentation, build_tasks

from .conftest import run


def pixels(samples, name):
    valid = [sample[f'gt_{name}'] != 255 for sample in samples]
    return tuple(
        np.concatenate([sample[f'{kind}_{name}'][mask].numpy() for sample, mask in zip(samples, valid, strict=True)])
        for kind in ('gt', 'pred')
    )


def test_agrees_with_scikit_learn(tasks, samples):
    result = run(SegmentationMetric(tasks['semseg'], per_class=True), samples)
    truth, guess = pixels(samples, 'semseg')
    iou = jaccard_score(truth, guess, average=None)
    assert result['mIoU'] == pytest.approx(100 * iou.mean(), abs=1e-9)
    assert result['pixel_acc'] == pytest.approx(100 * accuracy_score(truth, guess), abs=1e-9)
    assert [result[f'IoU/{name}'] for name in ('sky', 'road', 'tree', 'car')] == pytest.approx(100 * iou)


@pytest.mark.parametrize(
    ('absent', 'expected'), [('skip', 100 * (1 / 2 + 2 / 3) / 2), ('zero', 100 * (1 / 2 + 2 / 3) / 4)]
)
def test_a_class_that_occurs_nowhere(tasks, absent, expected):
    sample = dict(gt_semseg=torch.tensor([[0, 0, 1, 1, 255]]), pred_semseg=torch.tensor([[0, 1, 1, 1, 3]]))
    assert run(SegmentationMetric(tasks['semseg'], absent=absent), [sample])['mIoU'] == pytest.approx(expected)


def test_a_class_that_is_only_predicted_counts_as_zero(tasks):
    sample = dict(gt_semseg=torch.tensor([[0, 0]]), pred_semseg=torch.tensor([[0, 2]]))
    assert run(SegmentationMetric(tasks['semseg']), [sample])['mIoU'] == pytest.approx(25.0)


def test_predictions_outside_the_classes_are_wrong_but_harmless(tasks):
    sample = dict(gt_semseg=torch.tensor([[0, 0, 1]]), pred_semseg=torch.tensor([[0, 255, 1]], dtype=torch.uint8))
    assert run(SegmentationMetric(tasks['semseg']), [sample])['mIoU'] == pytest.approx(75.0)


def test_labels_outside_the_classes_are_an_error(tasks):
    metric = SegmentationMetric(tasks['semseg'])
    metric.process(None, [dict(gt_semseg=torch.tensor([[7]]), pred_semseg=torch.tensor([[0]]))])
    with pytest.raises(ValueError, match='1 label pixels are neither one of the 4 classes'):
        metric.evaluate(1)


@pytest.mark.parametrize('absent', ['skip', 'zero'])
def test_best_constant_is_the_best_of_all_constants(tasks, samples, absent):
    metric = SegmentationMetric(tasks['semseg'], absent=absent)
    scores = []
    for label in range(4):
        constant = [{**s, 'pred_semseg': torch.full_like(s['pred_semseg'], label)} for s in samples]
        scores.append(run(metric, constant)['mIoU'])
    for sample in samples:
        metric.process(None, [sample])
    assert metric.best_constant(metric.gather()) == pytest.approx(max(scores))


def test_all_ignored_is_nan_with_a_warning_that_names_the_task(tasks, logged):
    sample = dict(gt_semseg=torch.full((3, 3), 255), pred_semseg=torch.zeros(3, 3))
    result = run(SegmentationMetric(tasks['semseg']), [sample])
    assert all(math.isnan(value) for value in result.values())
    assert "Task 'semseg' was predicted for 1 images" in logged[0]


def test_starts_anew_after_each_evaluation(tasks, samples):
    metric = SegmentationMetric(tasks['semseg'])
    first = run(metric, samples[:1])
    run(metric, samples[1:])
    assert run(metric, samples[:1]) == first


def test_samples_without_label_or_prediction_are_passed_over(tasks, samples):
    metric = SegmentationMetric(tasks['semseg'])
    expected = run(metric, samples[:1])
    no_label = {key: value for key, value in samples[1].items() if key != 'gt_semseg'}
    no_prediction = {key: value for key, value in samples[2].items() if key != 'pred_semseg'}
    assert run(metric, [samples[0], no_label, no_prediction]) == expected
    assert run(metric, [no_prediction]) == {}


def test_sizes_that_differ_are_an_error(tasks):
    sample = dict(sample_id='a7', gt_semseg=torch.zeros(4, 5), pred_semseg=torch.zeros(2, 5))
    with pytest.raises(ValueError, match=r"sample 'a7' has size \(2, 5\), its label \(4, 5\)"):
        SegmentationMetric(tasks['semseg']).process(None, [sample])


def test_a_task_may_be_given_as_config():
    metric = SegmentationMetric(dict(name='parts', type='SemanticSegmentation', classes=['a', 'b']))
    assert metric.prefix == 'parts'
    assert metric.num_classes == 2


def test_two_classes_and_one_image():
    task = build_tasks(dict(x=SemanticSegmentation(classes=['a', 'b'])))['x']
    task.name = 'x'
    sample = dict(gt_x=torch.zeros(2, 2), pred_x=torch.zeros(2, 2))
    assert run(SegmentationMetric(task), [sample])['mIoU'] == 100.0
