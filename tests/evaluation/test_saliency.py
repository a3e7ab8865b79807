import numpy as np
import pytest
import torch

from mtl.evaluation import SaliencyMetric

from .conftest import run


def published_image_recipe(samples):
    """Per-image precision, recall and IoU at 15 thresholds, averaged; as the equations of the MTLoRA line say."""
    rows = []
    for sample in samples:
        valid = (sample['gt_saliency'] != 255).numpy()
        truth = (sample['gt_saliency'] == 1).numpy()[valid]
        probability = sample['pred_saliency'].numpy()[valid]
        row = []
        for threshold in np.linspace(0.2, 0.9, 15):
            guess = probability > np.float32(threshold)
            hit, union = (guess & truth).sum(), (guess | truth).sum()
            row.append([hit / max(guess.sum(), 1), hit / max(truth.sum(), 1), hit / union if union else 1.0])
        rows.append(row)
    precision, recall, iou = np.mean(rows, axis=0).T
    return 100 * (2 * precision * recall / (precision + recall + 1e-12)).max(), 100 * iou.max()


def dataset_recipe(samples, beta2):
    valid = [sample['gt_saliency'] != 255 for sample in samples]
    truth = np.concatenate([(s['gt_saliency'] == 1)[v].numpy() for s, v in zip(samples, valid, strict=True)])
    probability = np.concatenate([s['pred_saliency'][v].numpy() for s, v in zip(samples, valid, strict=True)])
    best_f = best_iou = 0.0
    for level in range(1, 256):
        guess = probability >= np.float32(level / 255)
        hit = (guess & truth).sum()
        if hit:
            precision, recall = hit / guess.sum(), hit / truth.sum()
            best_f = max(best_f, (1 + beta2) * precision * recall / (beta2 * precision + recall))
            best_iou = max(best_iou, hit / (guess | truth).sum())
    return 100 * best_f, 100 * best_iou


def test_image_recipe(tasks, samples):
    result = run(SaliencyMetric(tasks['saliency'], recipe='image'), samples)
    assert (result['maxF'], result['mIoU']) == pytest.approx(published_image_recipe(samples), abs=1e-9)


@pytest.mark.parametrize('beta2', [1.0, 0.3])
def test_dataset_recipe(tasks, samples, beta2):
    result = run(SaliencyMetric(tasks['saliency'], beta2=beta2), samples)
    assert (result['maxF'], result['mIoU']) == pytest.approx(dataset_recipe(samples, beta2), abs=1e-9)


def test_thresholds_on_the_grid_of_8_bits(tasks):
    """A probability that equals a threshold: in by 'dataset' (>=), out by 'image' (>), 0.2 being 51 / 255."""
    probability = torch.tensor([[51.0, 0.0]]) / 255
    sample = dict(gt_saliency=torch.tensor([[1, 0]]), pred_saliency=probability)
    assert run(SaliencyMetric(tasks['saliency']), [sample])['maxF'] == 100.0
    assert run(SaliencyMetric(tasks['saliency'], recipe='image'), [sample])['maxF'] == 0.0


def test_images_without_positives(tasks):
    empty = dict(gt_saliency=torch.zeros(2, 2), pred_saliency=torch.zeros(2, 2))
    wrong = dict(gt_saliency=torch.zeros(2, 2), pred_saliency=torch.ones(2, 2))
    image = SaliencyMetric(tasks['saliency'], recipe='image')
    assert run(image, [empty]).items() >= {'maxF': 0.0, 'mIoU': 100.0}.items()
    assert run(image, [empty, wrong]).items() >= {'maxF': 0.0, 'mIoU': 50.0}.items()
    assert run(SaliencyMetric(tasks['saliency']), [empty, wrong]).items() >= {'maxF': 0.0, 'mIoU': 0.0}.items()


def test_an_image_without_valid_pixels_is_no_image(tasks, samples):
    ignored = dict(gt_saliency=torch.full((3, 3), 255), pred_saliency=torch.rand(3, 3))
    for recipe in ('image', 'dataset'):
        metric = SaliencyMetric(tasks['saliency'], recipe=recipe)
        assert run(metric, [*samples, ignored]) == run(metric, samples)


@pytest.mark.parametrize('recipe', ['image', 'dataset'])
def test_best_constant_is_all_ones(tasks, samples, recipe):
    metric = SaliencyMetric(tasks['saliency'], recipe=recipe)
    ones = run(metric, [{**s, 'pred_saliency': torch.ones_like(s['pred_saliency'])} for s in samples])
    for sample in samples:
        metric.process(None, [sample])
    assert metric.best_constant(metric.gather()) == pytest.approx(ones['maxF'])


def test_not_a_number_is_not_salient(tasks):
    sample = dict(gt_saliency=torch.tensor([[1, 1]]), pred_saliency=torch.tensor([[float('nan'), 1.0]]))
    assert run(SaliencyMetric(tasks['saliency']), [sample])['mIoU'] == 50.0


def test_unknown_recipe(tasks):
    with pytest.raises(ValueError, match="'dataset' or 'image'; found 'both'"):
        SaliencyMetric(tasks['saliency'], recipe='both')
