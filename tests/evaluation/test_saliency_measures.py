"""MAE, S- and E-measure against derivations pixel by pixel."""

import math

import numpy as np
import pytest
import torch

from mtl.evaluation.saliency import SaliencyMetric
from mtl.evaluation.saliency_measures import alignment_curve, stretched, structure_measure


def cases():
    rng = np.random.default_rng(0)
    for kind in range(8):
        prediction = rng.random((7, 9))
        truth = np.zeros((7, 9))
        truth[1:4, 2 : 3 + kind] = 1
        if kind == 6:
            truth[:] = 0
        if kind == 7:
            truth[:] = 1
        yield (prediction - prediction.min()) / (prediction.max() - prediction.min()), truth


def slow_alignment(prediction, truth, threshold):
    """By its definition: the enhanced alignment of the two maps around their means, summed over pixels."""
    binary = (prediction >= threshold).astype(float)
    if truth.sum() == 0:
        enhanced = 1 - binary
    elif truth.sum() == truth.size:
        enhanced = binary
    else:
        a, b = binary - binary.mean(), truth - truth.mean()
        enhanced = (2 * a * b / (a**2 + b**2 + 1e-16) + 1) ** 2 / 4
    return enhanced.sum() / (truth.size - 1)


def slow_structure(prediction, truth):
    """By the paper: objects by mean and spread, regions by SSIM in four parts around the object's centre."""
    if truth.sum() == 0:
        return 1 - prediction.mean()
    if truth.sum() == truth.size:
        return prediction.mean()

    def likeness(values):
        return 2 * values.mean() / (values.mean() ** 2 + 1 + values.std(ddof=1))

    def ssim(x, y):
        if not x.size:
            return 0.0
        free = max(x.size - 1, 1e-16)
        spread = ((x - x.mean()) ** 2).sum() / free + ((y - y.mean()) ** 2).sum() / free
        above = 4 * x.mean() * y.mean() * ((x - x.mean()) * (y - y.mean())).sum() / free
        below = (x.mean() ** 2 + y.mean() ** 2) * spread
        return above / below if above else float(below == 0)

    share = truth.mean()
    objects = share * likeness(prediction[truth == 1]) + (1 - share) * likeness(1 - prediction[truth == 0])
    row, column = (math.floor(values.mean() + 0.5) + 1 for values in np.nonzero(truth))
    regions = 0.0
    for rows in (slice(None, row), slice(row, None)):
        for columns in (slice(None, column), slice(column, None)):
            x, y = prediction[rows, columns], truth[rows, columns]
            regions += x.size / truth.size * ssim(x, y)
    return max(0.0, 0.5 * objects + 0.5 * regions)


@pytest.mark.parametrize(('prediction', 'truth'), cases())
def test_both_measures(prediction, truth):
    maps = [torch.from_numpy(values) for values in (prediction, truth)]
    everywhere = torch.ones_like(maps[0])
    if not (math.modf(np.nonzero(truth)[1].mean())[0] == 0.5 if truth.any() else False):  # rounded half to even
        assert float(structure_measure(*maps, everywhere)) == pytest.approx(slow_structure(prediction, truth), abs=1e-9)
    curve = alignment_curve(*maps, everywhere)
    for level in (0, 1, 100, 254, 255):
        expected = slow_alignment(np.floor(prediction * 255) / 255, truth, level / 255)
        assert float(curve[level]) == pytest.approx(expected, abs=1e-9)


def test_unknown_pixels_do_not_matter():
    prediction, truth = (torch.from_numpy(values) for values in next(cases()))
    weight = torch.ones_like(truth)
    weight[:, 7:] = 0
    other = prediction.clone()
    other[:, 7:] = 0.123
    for measure in (structure_measure, alignment_curve):
        assert torch.equal(measure(prediction, truth, weight), measure(other, truth, weight))
    assert torch.equal(stretched(prediction, weight)[:, :7], stretched(other, weight)[:, :7])


def test_what_the_metric_reports():
    metric = SaliencyMetric(dict(type='Saliency', name='saliency'))
    samples = []
    for prediction, truth in list(cases())[:4]:
        samples.append(dict(pred_saliency=torch.from_numpy(prediction), gt_saliency=torch.from_numpy(truth).byte()))
    nothing = torch.full((7, 9), 255, dtype=torch.uint8)
    samples.append(dict(pred_saliency=torch.rand(7, 9), gt_saliency=nothing))
    metric.process(None, samples)
    found = metric.evaluate(5)
    errors = [np.abs(p - t).mean() for p, t in list(cases())[:4]]
    assert found['saliency/MAE'] == pytest.approx(100 * np.mean(errors), abs=1e-3)
    curve = np.mean(
        [[slow_alignment(np.floor(p * 255) / 255, t, k / 255) for k in range(256)] for p, t in list(cases())[:4]], 0
    )
    assert found['saliency/maxEm'] == pytest.approx(100 * curve.max(), abs=0.2)  # predictions are float32 here
    assert found['saliency/meanEm'] == pytest.approx(100 * curve.mean(), abs=0.2)
    perfect = dict(pred_saliency=samples[0]['gt_saliency'].float(), gt_saliency=samples[0]['gt_saliency'])
    metric = SaliencyMetric(dict(type='Saliency', name='saliency'))
    metric.process(None, [perfect])
    found = metric.evaluate(1)
    assert found['saliency/MAE'] == 0
    assert found['saliency/Sm'] > 99.9
    assert found['saliency/maxEm'] > 99.9
