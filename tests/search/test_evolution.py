import itertools

import numpy as np
import pytest

from mtl.search.evolution import BudgetError, Search, additive_model
from mtl.search.space import SearchSpace

PREFERENCE = dict(semseg=3.0, normals=1.0, edge=1.0)
WEIGHTS = np.array([5.0, 4.0, 3.0, 2.0, 1.5])  # cost of one step of each entry


def search(*arguments, **options):
    found = Search(*arguments, **options)
    assert len(list(found)) <= len(found)
    return found


def cost(candidates):
    return 10 + candidates @ WEIGHTS


def landscape(seed):
    """Scores that mostly grow with capacity, with diminishing returns, interactions and noise; asked once each."""
    generator = np.random.default_rng(seed)
    gains, pairs = generator.random(5) * 8, generator.random((5, 5)) * 0.2
    asked = set()

    def evaluate(candidate):
        assert candidate not in asked
        asked.add(candidate)
        x = np.array(candidate) / 3
        noise = np.random.default_rng([seed, *candidate]).normal(scale=0.1)
        return float(gains @ np.sqrt(x) + x @ pairs @ x + noise)

    return evaluate


@pytest.fixture
def space():
    return SearchSpace(3, encoder=(0.25, 0.5, 0.75, 1.0), decoder=(0.25, 0.5, 1.0), preference=PREFERENCE)


def test_everything_is_every_allowed_candidate(space):
    candidates = np.concatenate(list(space.everything(block=50)))
    every = [c for c in itertools.product(range(4), range(4), range(4), range(3), range(3)) if c[3] <= c[4]]
    assert sorted(map(tuple, candidates.tolist())) == sorted(every)
    assert len(every) == len(space)
    assert space.allowed(candidates).all()
    assert not space.allowed(np.array([[0, 0, 0, 2, 1], [0, 0, 4, 0, 0], [-1, 0, 0, 0, 0]])).any()


def test_ratios(space):
    encoder, decoder = space.ratios(np.array([[0, 1, 3, 0, 2]]))
    assert encoder.tolist() == [[0.25, 0.5, 1.0]]
    assert {task: ratio.tolist() for task, ratio in decoder.items()} == dict(semseg=[1.0], normals=[0.25], edge=[0.25])


def test_samples_lie_in_the_space(space):
    candidates = space.sample(np.random.default_rng(0), 500)
    assert space.allowed(candidates).all()
    assert (candidates.max(0) == space.largest).all()
    assert (candidates.min(0) == 0).all()


@pytest.mark.parametrize('preference', [dict(semseg=0.0), dict(semseg=-1.0), dict(semseg=float('nan')), {}])
def test_preferences_are_above_zero(preference):
    with pytest.raises(ValueError, match='above 0'):
        SearchSpace(2, (1.0,), (1.0,), preference)


@pytest.mark.parametrize('seed', range(5))
def test_finds_the_optimum_that_exhaustive_evaluation_finds(space, seed):
    budget = 30
    everything = search(space, cost, budget, landscape(seed), evaluations=len(space))
    assert everything.exhaustive
    within = sum((cost(block) <= budget).sum() for block in space.everything())
    assert len(everything.scores) == within
    found = search(space, cost, budget, landscape(seed), evaluations=80, seed=seed)
    assert len(found.scores) == 80 < within
    assert not found.exhaustive
    assert found.best == everything.best


def test_the_best_of_a_large_space_beats_chance():
    """More than a million candidates, of which no more than 100 are evaluated."""
    preference = dict(a=1.0, b=2.0, c=3.0)
    space = SearchSpace(8, np.linspace(0.25, 1, 6), np.linspace(0.25, 1, 6), preference)
    assert len(space) > 2**20
    gains = np.random.default_rng(1).random(len(space.sizes))

    def score(candidate):
        return float(gains @ np.sqrt(candidate))

    def weigh(candidates):
        return candidates.sum(1) * 1.0

    found = search(space, weigh, 25.0, score)
    assert all(weigh(np.array(list(found.scores))) <= 25)
    chance = space.sample(np.random.default_rng(0), 20_000)
    chance = chance[weigh(chance) <= 25]
    assert found.scores[found.best] > max(map(score, chance))


def test_all_stay_within_the_budget_and_the_seed_decides(space):
    first, second = (search(space, cost, 28.0, landscape(3), evaluations=40, seed=7) for _ in range(2))
    assert list(first.scores.items()) == list(second.scores.items())
    assert (cost(np.array(list(first.scores))) <= 28).all()
    other = search(space, cost, 28.0, landscape(3), evaluations=40, seed=8)
    assert list(other.scores) != list(first.scores)


def test_a_budget_that_leaves_little_of_a_large_space_ends(space):
    large = SearchSpace(10, np.linspace(0.25, 1, 5), (0.5, 1.0), dict(a=1.0))
    found = search(large, lambda c: c.sum(1) * 1.0, 1.0, lambda c: float(sum(c)), evaluations=50)
    assert len(found.scores) == 12  # the smallest, and one step more in any of its entries


def test_what_is_known_costs_no_evaluation(space):
    first = search(space, cost, 28.0, landscape(3), evaluations=40)
    evaluate = landscape(3)
    known = dict(list(first.scores.items())[:30])
    second = search(space, cost, 24.0, evaluate, evaluations=20, known=known)
    kept = {candidate: score for candidate, score in known.items() if cost(np.array([candidate]))[0] <= 24}
    assert 0 < len(kept) < 30
    assert list(second.scores.items())[: len(kept)] == list(kept.items())
    assert len(second.scores) == len(kept) + 20


def test_candidate_of_ratios(space):
    for block in space.everything():
        for candidate in block[::7]:
            encoder, decoder = space.ratios(candidate[None])
            ratios = encoder[0], {task: values[0] for task, values in decoder.items()}
            assert space.candidate(*ratios) == tuple(candidate.tolist())
    equal = dict(semseg=0.5, normals=0.5, edge=0.5)
    assert space.candidate((0.25, 0.5, 1.0), equal) == (0, 1, 3, 1, 1)
    assert space.candidate((0.25, 0.5, 1.0), equal | dict(edge=0.25)) is None  # tasks of equal preference differ
    assert space.candidate((0.25, 0.5, 1.0), equal | dict(semseg=0.25)) is None  # falls with preference
    assert space.candidate((0.3, 0.5, 1.0), equal) is None
    assert space.candidate((0.25, 0.5, 1.0), dict(semseg=0.5)) is None


def test_impossible_budget(space):
    with pytest.raises(BudgetError, match=r'smallest configuration costs 10, which is above 9\.5'):
        search(space, cost, 9.5, landscape(0))


def test_additive_model_recovers_a_sum():
    generator = np.random.default_rng(0)
    sizes = np.array([3, 4])
    tables = [generator.random(size) for size in sizes]

    def truth(candidate):
        return tables[0][candidate[0]] + tables[1][candidate[1]]

    every = list(itertools.product(range(3), range(4)))
    model = additive_model(sizes, {c: truth(c) for c in every if c != (2, 3)}, ridge=1e-9)
    assert model(np.array([[2, 3]]))[0] == pytest.approx(truth((2, 3)), abs=1e-6)
