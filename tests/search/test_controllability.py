import pytest

from mtl.models.slimmable import WidthSpace
from mtl.search.controllability import budgets_between, control, preference_vectors, uniform_widths

TASKS = ('semseg', 'normals', 'edge')


def test_preference_vectors():
    vectors = preference_vectors(TASKS, 12, strength=4.0, seed=0)
    assert vectors[0] == dict.fromkeys(TASKS, 1.0)
    assert dict(semseg=1.0, normals=4.0, edge=1.0) in vectors[1:4]
    assert dict(semseg=4.0, normals=1.0, edge=4.0) in vectors[4:7]
    assert len(vectors) == len({tuple(vector.values()) for vector in vectors}) == 12
    assert vectors == preference_vectors(TASKS, 12, strength=4.0, seed=0)
    assert len(preference_vectors(TASKS, 1, 4.0, 0)) == 7
    assert len(preference_vectors(('semseg',), 50, 4.0, 0)) == 3  # there are no others


def test_control_by_hand():
    """Of two tasks, one follows preference, one never changes, whatever is preferred."""
    preferences = [dict(a=1.0, b=1.0), dict(a=3.0, b=1.0), dict(a=1.0, b=3.0), dict(a=6.0, b=2.0)]
    gains = [dict(a=-5.0, b=1.0), dict(a=-2.0, b=1.0), dict(a=-9.0, b=1.0), dict(a=-1.0, b=1.0)]
    found = control(preferences, gains)
    assert found['a'] == pytest.approx({'rank correlation': 0.9487, 'span': 7.5, 'least': -9.0, 'most': -1.0}, abs=1e-4)
    assert found['b'] == {'rank correlation': 0.0, 'span': 0.0, 'least': 1.0, 'most': 1.0}


def test_control_that_works_backwards_is_told():
    preferences = [dict(a=1.0, b=1.0), dict(a=3.0, b=1.0), dict(a=1.0, b=3.0)]
    found = control(preferences, [dict(a=gain, b=gain) for gain in (0.0, -3.0, 2.0)])
    assert found['a']['rank correlation'] == pytest.approx(-1)
    assert found['a']['span'] == -5.0
    assert found['b']['rank correlation'] == pytest.approx(1)


def test_budgets():
    budgets = budgets_between(0.3, 2.4, 4)
    assert budgets == pytest.approx([0.3, 0.6, 1.2, 2.4])
    assert (budgets[0], budgets[-1]) == (0.3, 2.4)


def test_uniform_widths():
    space = WidthSpace(2, TASKS, encoder=(0.25, 0.5, 1.0), decoder=(0.5, 0.75, 1.0))
    widths = uniform_widths(space, ('semseg', 'edge'))
    assert [width.to_dict() for width in widths] == [
        dict(encoder=[ratio] * 2, decoder=dict(semseg=ratio, edge=ratio)) for ratio in (0.5, 1.0)
    ]
