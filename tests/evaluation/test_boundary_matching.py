import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mtl.evaluation.boundary.matching import _pairs, match

maps = st.integers(0, 2**30).map(lambda seed: np.random.default_rng(seed))


def dense_optimum(first, second, radius):
    """Size and total distance (hundredths) of the best matching, from a dense assignment over all pixels."""
    a, b = np.argwhere(first), np.argwhere(second)
    if len(a) == 0 or len(b) == 0:
        return 0, 0
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    far = 1e6
    cost = np.where(distance <= radius, np.rint(100 * distance), far)
    rows, columns = linear_sum_assignment(cost)
    chosen = cost[rows, columns]
    return int((chosen < far).sum()), int(chosen[chosen < far].sum())


def exhaustive(first, second, radius):
    """Largest number of pairs, by trying everything."""
    a, b = np.argwhere(first), np.argwhere(second)
    near = np.linalg.norm(a[:, None] - b[None], axis=2) <= radius if len(a) and len(b) else np.zeros((len(a), len(b)))

    def best(row, used):
        if row == len(a):
            return 0
        options = [best(row + 1, used)]
        options += [1 + best(row + 1, used | {j}) for j in range(len(b)) if near[row, j] and j not in used]
        return max(options)

    return best(0, frozenset())


@given(maps, st.sampled_from([0.0, 1.0, 1.5, 2.3, 4.34]), st.floats(0.05, 0.5))
@settings(max_examples=150, deadline=None)
def test_matches_as_many_as_a_dense_solver(random, radius, density):
    first, second = random.random((2, 12, 15)) < density
    matched_first, matched_second = match(first, second, radius)
    expected, _ = dense_optimum(first, second, radius)
    assert matched_first.sum() == matched_second.sum() == expected
    assert match(first, second, radius, nearest=False)[0].sum() == expected
    assert len(matched_first) == first.sum()
    assert len(matched_second) == second.sum()


@given(maps, st.sampled_from([1.0, 1.5, 2.3]))
@settings(max_examples=60, deadline=None)
def test_matches_as_many_as_trying_everything(random, radius):
    first, second = random.random((2, 4, 5)) < 0.3
    assert match(first, second, radius)[0].sum() == exhaustive(first, second, radius)


@given(maps)
@settings(max_examples=60, deadline=None)
def test_the_matched_pixels_admit_the_least_distance(random):
    """Restricted to the matched pixels, all pair up at the total distance that a dense solver finds overall."""
    first, second = random.random((2, 10, 10)) < 0.25
    matched_first, matched_second = match(first, second, 2.3)
    kept_first, kept_second = np.zeros_like(first), np.zeros_like(second)
    kept_first.ravel()[np.flatnonzero(first)[matched_first]] = True
    kept_second.ravel()[np.flatnonzero(second)[matched_second]] = True
    assert dense_optimum(kept_first, kept_second, 2.3) == dense_optimum(first, second, 2.3)


def test_solving_in_parts_changes_nothing(monkeypatch):
    random = np.random.default_rng(1)
    first, second = random.random((2, 60, 60)) < 0.08
    whole = match(first, second, 2.3)
    monkeypatch.setattr('mtl.evaluation.boundary.matching._ROWS_A_PART', 1)
    parts = match(first, second, 2.3)
    assert whole[0].sum() == parts[0].sum() == dense_optimum(first, second, 2.3)[0]


@given(maps)
@settings(max_examples=30, deadline=None)
def test_is_symmetric_in_its_maps(random):
    first, second = random.random((2, 14, 9)) < 0.3
    forward, backward = match(first, second, 2.0), match(second, first, 2.0)
    assert forward[0].sum() == backward[0].sum() == backward[1].sum()


def test_the_nearer_of_two_is_matched():
    first, second = np.zeros((2, 1, 8), bool)
    first[0, 3] = second[0, 1] = second[0, 4] = True
    assert match(first, second, 3.0)[1].tolist() == [False, True]


def test_a_chain_that_greed_would_get_wrong():
    first, second = np.zeros((2, 1, 9), bool)
    first[0, [2, 4]] = True
    second[0, [3, 6]] = True  # 4 is near both, 2 only near 3: the nearest-first choice would leave one alone
    assert match(first, second, 2.0)[0].tolist() == [True, True]


def test_the_radius_is_inclusive():
    first, second = np.zeros((2, 6, 6), bool)
    first[0, 0] = second[3, 4] = True
    assert match(first, second, 5.0)[0].tolist() == [True]
    assert match(first, second, 4.99)[0].tolist() == [False]


@pytest.mark.parametrize('full', [0, 1])
def test_an_empty_map(full):
    first, second = np.zeros((2, 5, 5), bool)
    (first, second)[full][2, 1:4] = True
    matched = match(first, second, 2.0)
    assert [len(part) for part in matched] == [3 * (1 - full), 3 * full]
    assert not np.concatenate(matched).any()


def test_pairs_are_exactly_those_within_the_radius():
    random = np.random.default_rng(5)
    first, second = random.random((2, 13, 17)) < 0.3
    rows, columns, distance = _pairs(first, second, 3.3)
    expected = np.linalg.norm(np.argwhere(first)[:, None] - np.argwhere(second)[None], axis=2)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == set(zip(*np.nonzero(expected <= 3.3), strict=True))
    assert np.allclose(distance, expected[rows, columns])


def test_losses_take_a_few_pixels_away_and_are_repeatable():
    random = np.random.default_rng(0)
    first = random.random((120, 160)) < 0.15
    best = match(first, first, 2.0)[0].sum()
    lossy = [match(first, first, 2.0, losses=np.random.RandomState(3))[0] for _ in range(2)]
    assert np.array_equal(*lossy)
    # identical sets: every loss costs a pixel; exp(-6) of them are lost in expectation
    assert best == first.sum()
    assert 0 < best - lossy[0].sum() < 3 * np.exp(-6) * best
