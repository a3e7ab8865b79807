from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.search.pareto import hypervolume, pareto_front


def clouds(dimensions, most=7):
    value = st.integers(-2, 6).map(float)
    return st.lists(st.tuples(*[value] * dimensions), min_size=1, max_size=most).map(np.array)


def by_inclusion_exclusion(points, reference):
    """Volume of a union of boxes from the volumes of all their intersections."""
    boxes = np.maximum(points - np.asarray(reference), 0)
    sizes = range(1, len(boxes) + 1)
    return sum(
        (-1) ** (size + 1) * sum(np.prod(np.min(chosen, axis=0)) for chosen in combinations(boxes, size))
        for size in sizes
    )


@pytest.mark.parametrize('dimensions', [1, 2, 3, 4])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_hypervolume_is_that_of_the_union_of_boxes(dimensions, data):
    points, reference = data.draw(clouds(dimensions)), (0.5,) * dimensions
    assert hypervolume(points, reference) == pytest.approx(by_inclusion_exclusion(points, reference), abs=1e-9)


def test_hypervolume_of_many_points_in_five_dimensions():
    """Against throwing points at the unit box."""
    generator = np.random.default_rng(0)
    points = generator.random((25, 5))
    thrown = generator.random((200_000, 5))
    covered = np.zeros(len(thrown), dtype=bool)
    for point in points:
        covered |= (thrown <= point).all(1)
    assert hypervolume(points, np.zeros(5)) == pytest.approx(covered.mean(), abs=0.004)


def test_hypervolume_by_hand():
    assert hypervolume([[-0.5, 10.0]], (-1.0, 0.0)) == 5.0
    assert hypervolume([[-0.5, 10.0], [-0.25, 4.0]], (-1.0, 0.0)) == 6.0
    assert hypervolume([[-1.0, 10.0], [0.0, 0.0]], (-1.0, 0.0)) == 0.0  # on the border of the reference
    assert hypervolume(np.empty((0, 2)), (0.0, 0.0)) == 0.0


@settings(max_examples=100, deadline=None)
@given(points=st.integers(1, 3).flatmap(clouds))
def test_front(points):
    """No point of the front is beaten; every other one is, or stands in the front already."""
    kept = pareto_front(points)
    front = points[kept]

    def beats(a, b):
        return all(a >= b) and any(a > b)

    assert not any(beats(a, b) for a in points for b in front)
    assert len(np.unique(front, axis=0)) == len(front)
    for point in points[~kept]:
        assert any(beats(other, point) or all(other == point) for other in front)
    assert hypervolume(front, [-3.0] * points.shape[1]) == pytest.approx(hypervolume(points, [-3.0] * points.shape[1]))


def test_wrong_inputs_are_told():
    with pytest.raises(ValueError, match='nan'):
        pareto_front([[1.0, float('nan')]])
    with pytest.raises(ValueError, match='one row a point'):
        pareto_front([1.0, 2.0])
    with pytest.raises(ValueError, match='must have 2 values'):
        hypervolume([[1.0, 2.0]], (0.0,))
