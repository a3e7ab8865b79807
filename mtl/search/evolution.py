"""Search for the best candidate within a budget, with few evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from mtl.errors import ExplainedError
from mtl.search.pareto import pareto_front
from mtl.search.space import SearchSpace

ENUMERABLE = 2**18  # spaces up to this size are walked through whole (their costs, not their evaluations)

Candidate = tuple[int, ...]


class BudgetError(ExplainedError, ValueError):
    """A budget that no candidate keeps.

    Attributes:
        least: cost of the smallest candidate.
    """

    def __init__(self, least: float, budget: float) -> None:
        super().__init__(f'Even the smallest configuration costs {least:.6g}, which is above {budget:.6g}.')
        self.least = least


class Search:
    """Evaluates at most ``evaluations`` candidates within ``budget``, one each step of an iteration.

    All of them where there are no more. Otherwise evolution: parents are the best candidates so far and those of the
    front of cost and score; children are crossed, mutated, made smaller until they keep the budget, and half of them
    as large as it permits. Of many children those are evaluated of which an additive model, fitted to the
    evaluations so far, expects most; a fifth is chosen at random instead, lest the model confirm itself (ours).

    Args:
        space: candidates.
        cost: costs ``[N]`` of candidates ``[N, D]``. Cheap: it is asked for thousands.
        budget: the most a candidate may cost.
        evaluate: score of a candidate, higher is better; expensive. It is never asked twice for one.
        evaluations, seed: the same seed proposes the same candidates if their scores are the same.
        known: scores that cost no evaluation; those within the budget take part.
        generation: evaluations between two fits of the model.

    Attributes:
        scores: ``{candidate: score}``, those known first, then in the order of evaluation.

    Raises:
        BudgetError: not even the smallest candidate keeps the budget.
    """

    def __init__(
        self,
        space: SearchSpace,
        cost: Callable[[np.ndarray], np.ndarray],
        budget: float,
        evaluate: Callable[[Candidate], float],
        evaluations: int = 100,
        seed: int = 0,
        known: Mapping[Candidate, float] | None = None,
        generation: int = 10,
    ) -> None:
        least = float(cost(space.smallest[None])[0])
        if least > budget:
            raise BudgetError(least, budget)
        small = len(space) <= ENUMERABLE and math.prod(space.sizes) <= 16 * ENUMERABLE
        cost = tabulated(space, cost) if small else cost
        self.space, self.cost, self.budget, self.evaluate = space, cost, budget, evaluate
        self.evaluations, self.generation = evaluations, generation
        self.generator = np.random.default_rng(seed)
        self.scores = {c: score for c, score in (known or {}).items() if cost(np.array([c]))[0] <= budget}
        self._within = self._all_within() if small else None

    @property
    def exhaustive(self) -> bool:
        """Whether every candidate within the budget is (or will be) evaluated."""
        return self._within is not None

    def __len__(self) -> int:
        """Number of evaluations at most."""
        return self.evaluations if self._within is None else len(self._within)

    def __iter__(self) -> Iterator[Candidate]:
        """Evaluate; gives each candidate when its score is known."""
        for candidate in self._evolve() if self._within is None else self._within:
            self.scores[candidate] = self.evaluate(candidate)
            yield candidate

    @property
    def best(self) -> Candidate:
        """The candidate of the highest score; of equal ones the first in lexical order."""
        return min(self.scores, key=lambda candidate: (-self.scores[candidate], candidate))

    def _all_within(self) -> list[Candidate] | None:
        """All candidates within the budget that are not known; ``None`` if they are more than the evaluations."""
        within: list[Candidate] = []
        for block in self.space.everything():
            kept = map(tuple, block[self.cost(block) <= self.budget].tolist())
            within += [candidate for candidate in kept if candidate not in self.scores]
            if len(within) > self.evaluations:
                return None
        return within

    def _evolve(self) -> Iterator[Candidate]:
        evolution = _Evolution(self.space, self.cost, self.budget, self.generator)
        left = self.evaluations
        while left and (children := evolution.children(self.scores, min(self.generation, left))):
            yield from children
            left -= len(children)


def tabulated(space: SearchSpace, cost: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """``cost``, asked once for every candidate and looked up from then on."""
    table = np.full(space.sizes, np.nan)
    for block in space.everything():
        table[tuple(block.T)] = cost(block)
    return lambda candidates: table[tuple(candidates.T)]


class _Evolution:
    """Proposes candidates from the scores so far."""

    pool = 60  # children of which the most promising are evaluated
    tries = 300  # to find them; a budget may leave fewer

    def __init__(self, space: SearchSpace, cost: Callable, budget: float, generator: np.random.Generator) -> None:
        self.space, self.cost, self.budget, self.generator = space, cost, budget, generator

    def children(self, scores: Mapping[Candidate, float], count: int) -> list[Candidate]:
        """At most ``count`` different candidates that were not evaluated yet; none where none turned up."""
        parents = self._parents(scores)
        proposed: dict[Candidate, None] = {}
        for _ in range(self.tries):
            child = self.space.sample(self.generator, 1)[0] if len(parents) < 2 else self._child(parents)
            child = self._fitted(child)
            if child not in scores:
                proposed[child] = None
            if len(proposed) == (self.pool if scores else count):
                break
        if not proposed:
            return []
        candidates = np.array(list(proposed))
        expected = additive_model(self.space.sizes, scores)(candidates) if scores else np.zeros(len(candidates))
        surprises = count // 5
        order = np.argsort(-expected, kind='stable')
        chosen = [*order[: count - surprises], *self.generator.permutation(order[count - surprises :])[:surprises]]
        return [tuple(candidates[index].tolist()) for index in chosen]

    def _parents(self, scores: Mapping[Candidate, float], best: int = 8) -> np.ndarray:
        if not scores:
            return np.empty((0, len(self.space.sizes)), dtype=int)
        candidates, values = np.array(list(scores)), np.array(list(scores.values()))
        front = pareto_front(np.stack([-self.cost(candidates), values], 1))
        front[np.argsort(-values, kind='stable')[:best]] = True
        return candidates[front]

    def _child(self, parents: np.ndarray) -> np.ndarray:
        """Each entry from one of two parents, then moved by one step or more with the chance of once a child."""
        mother, father = parents[self.generator.choice(len(parents), 2, replace=False)]
        child = np.where(self.generator.random(len(mother)) < 0.5, mother, father)
        moved = self.generator.random(len(child)) < 1 / len(child)
        step = self.generator.geometric(0.6, len(child)) * self.generator.choice([-1, 1], len(child))
        child = np.clip(child + moved * step, 0, self.space.largest)
        child[self.space.stages :].sort()
        return child

    def _fitted(self, child: np.ndarray) -> Candidate:
        """``child`` made smaller until it keeps the budget; every other time grown for as long as it does."""
        while self.cost(child[None])[0] > self.budget:
            child = self.generator.choice(self.space.steps(child, -1))
        if self.generator.random() < 0.5:
            larger = self.space.steps(child, 1)
            while len(larger := larger[self.cost(larger) <= self.budget] if len(larger) else larger):
                child = self.generator.choice(larger)
                larger = self.space.steps(child, 1)
        return tuple(child.tolist())


def additive_model(sizes: np.ndarray, scores: Mapping[Candidate, float], ridge: float = 0.1) -> Callable:
    """Scores as a sum of what each step of each entry adds, by ridge regression: a function of candidates ``[N, D]``.

    Args:
        sizes: number of options of each entry.
        scores: ``{candidate: score}`` to fit.
        ridge: weight of the squared steps against the squared errors.
    """

    def features(candidates: np.ndarray) -> np.ndarray:
        steps = [candidates[:, [entry]] >= np.arange(1, size) for entry, size in enumerate(sizes)]
        return np.concatenate(steps, 1).astype(np.float64)

    x, y = features(np.array(list(scores))), np.array(list(scores.values()))
    mean_x, mean_y = x.mean(0), y.mean()
    centred = x - mean_x
    weights = np.linalg.solve(centred.T @ centred + ridge * np.eye(x.shape[1]), centred.T @ (y - mean_y))
    return lambda candidates: mean_y + (features(candidates) - mean_x) @ weights
