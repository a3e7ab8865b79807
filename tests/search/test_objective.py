import math

import pytest

from mtl.search.budget import Budget, in_unit
from mtl.search.objective import ReferenceResultError, reference_from, relative_performance, weighted_performance
from mtl.tasks import build_tasks

TASKS = build_tasks(dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals')))
HEADLINES = dict(saliency='maxF', normals='mErr')


def test_performance_by_hand():
    """Half the F measure is -50 %; a quarter less error is +25 %."""
    reference = reference_from({'saliency/maxF': 80.0, 'normals/mErr': 20.0, 'normals/rmse': 30.0}, HEADLINES, TASKS)
    gains = relative_performance({'saliency/maxF': 40.0, 'normals/mErr': 15.0}, reference)
    assert gains == {'saliency': -50.0, 'normals': 25.0}
    assert weighted_performance(gains, dict(saliency=1.0, normals=1.0)) == -12.5
    assert weighted_performance(gains, dict(saliency=1.0, normals=4.0)) == 10.0


def test_a_result_that_is_no_number_is_lost():
    reference = reference_from({'saliency/maxF': 80.0, 'normals/mErr': 20.0}, HEADLINES, TASKS)
    assert relative_performance({'saliency/maxF': math.nan}, reference) == {'saliency': -100.0, 'normals': -100.0}


@pytest.mark.parametrize('value', [0.0, math.nan])
def test_a_reference_that_nothing_is_relative_to(value):
    with pytest.raises(ReferenceResultError, match='At full width saliency has maxF'):
        reference_from({'saliency/maxF': value, 'normals/mErr': 20.0}, HEADLINES, TASKS)


@pytest.mark.parametrize(
    ('text', 'unit', 'value'),
    [
        ('GFLOPs=9', 'GFLOPs', 9),
        ('gmacs = 4.5', 'GMACs', 4.5),
        ('params=12M', 'parameters', 12e6),
        ('parameters=1.5e6', 'parameters', 1.5e6),
        ('ms=30', 'ms', 30),
    ],
)
def test_budgets(text, unit, value):
    assert Budget.parse(text) == Budget(unit, value)


@pytest.mark.parametrize('text', ['9', 'GFLOPs', 'GFLOPs=', 'GFLOPs=-1', 'ms=0', 'ms=3M', 'ms=1.2.3', 'seconds=1'])
def test_other_budgets_are_refused(text):
    with pytest.raises(ValueError, match='budget'):
        Budget.parse(text)


def test_costs_for_reading():
    assert in_unit(12_345_678, 'parameters') == '12.35 M parameters'
    assert in_unit(8716, 'parameters') == '8716 parameters'
    assert in_unit(4.5, 'GMACs') == '4.5 GMACs'
