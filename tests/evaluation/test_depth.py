import math

import numpy as np
import pytest
import torch
from torchmetrics.functional import mean_squared_error, mean_squared_log_error

from mtl.evaluation import DepthMetric

from .conftest import run


def test_against_definitions(tasks, samples):
    result = run(DepthMetric(tasks['depth']), samples)
    known = [sample['gt_depth'] > 0 for sample in samples]
    truth = torch.cat([s['gt_depth'][k] for s, k in zip(samples, known, strict=True)]).double()
    guess = torch.cat([s['pred_depth'][k] for s, k in zip(samples, known, strict=True)]).double()
    factor = torch.maximum(truth / guess, guess / truth)
    assert result['rmse'] == pytest.approx(mean_squared_error(guess, truth, squared=False).item())
    # torchmetrics takes log(1 + x): shift by one
    assert result['log_rmse'] == pytest.approx(mean_squared_log_error(guess - 1, truth - 1).sqrt().item())
    assert result['abs_rel'] == pytest.approx(((guess - truth).abs() / truth).mean().item())
    assert result['sq_rel'] == pytest.approx(((guess - truth) ** 2 / truth).mean().item())
    assert result['delta1'] == pytest.approx(100 * (factor < 1.25).double().mean().item())
    assert result['delta3'] == pytest.approx(100 * (factor < 1.25**3).double().mean().item())


def test_what_is_not_a_depth_is_ignored(tasks):
    truth = torch.tensor([[2.0, 0.0, math.inf, math.nan, 255.0, -1.0]])
    guess = torch.tensor([[2.5, 9.0, 9.0, 9.0, 9.0, 9.0]])
    result = run(DepthMetric(tasks['depth']), [dict(gt_depth=truth, pred_depth=guess)])
    assert result['rmse'] == pytest.approx(0.5)
    assert result['abs_rel'] == pytest.approx(0.25)


def test_a_predicted_zero_stays_finite(tasks):
    result = run(DepthMetric(tasks['depth']), [dict(gt_depth=torch.ones(1, 1), pred_depth=torch.zeros(1, 1))])
    assert result['rmse'] == 1.0
    assert result['log_rmse'] == pytest.approx(math.log(1000))
    assert result['delta3'] == 0.0


def test_best_constant_is_the_mean(tasks, samples):
    metric = DepthMetric(tasks['depth'])
    mean = torch.cat([s['gt_depth'][s['gt_depth'] > 0] for s in samples]).double().mean()
    constant = run(metric, [{**s, 'pred_depth': torch.full_like(s['gt_depth'], float(mean))} for s in samples])
    for sample in samples:
        metric.process(None, [sample])
    assert metric.best_constant(metric.gather()) == pytest.approx(constant['rmse'], rel=1e-6)


def test_no_depth_at_all(tasks):
    result = run(DepthMetric(tasks['depth']), [dict(gt_depth=torch.zeros(2, 2), pred_depth=torch.ones(2, 2))])
    assert np.isnan(list(result.values())).all()
