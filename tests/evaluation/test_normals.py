import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.evaluation import NormalsMetric
from mtl.evaluation.normals import angle_between, cell_centres, octahedral_cell

from .conftest import run


def angles(samples):
    out = []
    for sample in samples:
        truth, guess = (sample[f'{kind}_normals'].double().numpy().reshape(3, -1).T for kind in ('gt', 'pred'))
        known = (truth != 0).any(1)
        truth, guess = truth[known], guess[known]
        cosine = (truth * guess).sum(1) / np.linalg.norm(truth, axis=1) / np.linalg.norm(guess, axis=1)
        out.append(np.degrees(np.arccos(cosine.clip(-1, 1))))
    return np.concatenate(out)


def test_against_arc_cosine(tasks, samples):
    result = run(NormalsMetric(tasks['normals']), samples)
    expected = angles(samples)
    assert result['mErr'] == pytest.approx(expected.mean(), abs=1e-4)
    assert result['rmse'] == pytest.approx(np.sqrt((expected**2).mean()), abs=1e-4)
    assert result['median'] == pytest.approx(np.quantile(expected, 0.5, method='lower'), abs=0.0051)
    for limit in ('11.25', '22.5', '30'):
        assert result[limit] == pytest.approx(100 * (expected < float(limit)).mean(), abs=1e-9)


def test_hand_computed(tasks):
    truth = torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 1, 0]]).view(3, 1, 3)
    guess = torch.tensor([[0.0, 2, 5], [0, 0, 5], [3, 2, 5]]).view(3, 1, 3)  # 0 degrees, 45 degrees, unknown
    result = run(NormalsMetric(tasks['normals']), [dict(gt_normals=truth, pred_normals=guess)])
    assert result['mErr'] == pytest.approx(22.5, abs=1e-5)
    assert result['30'] == pytest.approx(50.0)


def test_opposite_directions_are_180_degrees_apart():
    a = torch.tensor([0.6, 0.0, 0.8]).view(3, 1, 1)
    assert angle_between(a, -a).item() == pytest.approx(180.0)


def test_a_prediction_that_is_not_a_number_shows(tasks, samples):
    samples[0]['pred_normals'] = samples[0]['pred_normals'] * float('nan')
    assert np.isnan(run(NormalsMetric(tasks['normals']), samples)['mErr'])


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1))
@settings(max_examples=200, deadline=None)
def test_every_direction_lies_in_a_cell_near_by(vector):
    unit = torch.nn.functional.normalize(torch.tensor(vector, dtype=torch.float64), dim=0).view(3, 1, 1)
    centre = cell_centres()[octahedral_cell(unit).item()].view(3, 1, 1)
    # half a cell, (1, 1, -2) / 64 where |x| + |y| + |z| = 1, seen at the distance 1 / sqrt(3) of a face's middle
    assert angle_between(unit, centre).item() < np.degrees(np.arctan(np.sqrt(6) / 64 * np.sqrt(3))) + 0.01


def test_best_constant_direction(tasks, samples):
    metric = NormalsMetric(tasks['normals'])
    for sample in samples:
        metric.process(None, [sample])
    found = metric.best_constant(metric.gather())
    # a slow search: the best of a few hundred directions, and none may be clearly better than what was found
    best = 180.0
    for direction in cell_centres()[::13].float():
        constant = [{**s, 'pred_normals': direction.view(3, 1, 1).expand_as(s['gt_normals'])} for s in samples]
        best = min(best, angles(constant).mean())
    assert found == pytest.approx(best, abs=0.6)
