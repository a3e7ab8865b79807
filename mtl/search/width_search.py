"""From a budget and preferences to a width, on one trained network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mtl.evaluation import Baseline
from mtl.models.slimmable.width import WidthConfig, WidthSpace
from mtl.search.budget import Costs
from mtl.search.evolution import Candidate, Search
from mtl.search.objective import relative_performance, weighted_performance
from mtl.search.pareto import hypervolume, pareto_front
from mtl.search.space import SearchSpace

LOST = -100.0  # relative performance of a network that gets nothing right, or makes twice the reference's error


@dataclass(frozen=True)
class Choice:
    """A width with what is known of it.

    Args:
        width: the width.
        cost: in the unit of the budget.
        results: ``{'<task>/<metric>': value}``.
        gains: relative to the reference in percent, by task.
        score: mean of the gains, weighed by preference.
    """

    width: WidthConfig
    cost: float
    results: Mapping[str, float]
    gains: Mapping[str, float]
    score: float


class WidthSearch:
    """Searches the widths of a network for those that serve a preference best within a budget.

    Args:
        space: of the network.
        tasks: those that run.
        preference: importance by task.
        costs: what a width costs.
        evaluate: results of a width.
        reference: results that performance is relative to.
    """

    def __init__(
        self,
        space: WidthSpace,
        tasks: Sequence[str],
        preference: Mapping[str, float],
        costs: Costs,
        evaluate: Callable[[WidthConfig], Mapping[str, float]],
        reference: Baseline,
    ) -> None:
        self.tasks, self.preference, self.costs = tuple(tasks), {task: preference[task] for task in tasks}, costs
        self.candidates = SearchSpace(
            space.stages, options_of(space.encoder), options_of(space.decoder), self.preference
        )
        self.evaluate, self.reference = evaluate, reference

    def within(self, budget: float, evaluations: int = 100, seed: int = 0, known: Sequence[WidthConfig] = ()) -> Search:
        """The search, to be iterated over; then see :meth:`choices`.

        Args:
            budget: in the unit of the costs.
            evaluations, seed: see :class:`mtl.search.evolution.Search`.
            known: widths whose results are at hand already; they take part where they fit the preference.

        Raises:
            BudgetError: the smallest width costs more.
        """
        candidates = (self.candidates.candidate(width.encoder, width.decoder) for width in known)
        scores = {candidate: self._score(candidate) for candidate in candidates if candidate is not None}
        return Search(self.candidates, self._cost, budget, self._score, evaluations, seed, scores)

    def choices(self, search: Search) -> list[Choice]:
        """All widths that a search has evaluated, the best first."""
        order = sorted(search.scores, key=lambda candidate: (-search.scores[candidate], candidate))
        return [self.choice(self.width(candidate)) for candidate in order]

    def choice(self, width: WidthConfig) -> Choice:
        """What is to know of one width (evaluated where it is not yet)."""
        results = self.evaluate(width)
        gains = relative_performance(results, self.reference)
        return Choice(width, self.costs.of(width), results, gains, weighted_performance(gains, self.preference))

    def width(self, candidate: Candidate) -> WidthConfig:
        """The width that a candidate stands for."""
        encoder, decoder = self.candidates.ratios(np.array([candidate]))
        return WidthConfig(tuple(encoder[0].tolist()), {task: float(decoder[task][0]) for task in self.tasks})

    def _score(self, candidate: Candidate) -> float:
        gains = relative_performance(self.evaluate(self.width(candidate)), self.reference)
        return weighted_performance(gains, self.preference)

    def _cost(self, candidates: np.ndarray) -> np.ndarray:
        return self.costs(*self.candidates.ratios(candidates))


def options_of(ratios: Sequence[float] | float, count: int = 5) -> tuple[float, ...]:
    """The ratios a search tries: those listed, or ``count`` evenly spaced ones where any from a number to 1 may be."""
    return tuple(np.linspace(ratios, 1, count).tolist()) if isinstance(ratios, float) else tuple(ratios)


def front_of(choices: Sequence[Choice]) -> list[Choice]:
    """The choices that no other one beats in cost and score, the cheapest first."""
    kept = pareto_front(np.array([[-choice.cost, choice.score] for choice in choices]))
    return sorted((choices[index] for index in np.flatnonzero(kept).tolist()), key=lambda choice: choice.cost)


def covered(choices: Sequence[Choice], full_cost: float) -> float:
    """Hypervolume of cost and score above the reference point (cost of the full width, score :data:`LOST`).

    As a share of the rectangle from there to (no cost, as good as the reference): 1 would be all of its performance
    for nothing; what is better than the reference may exceed it.
    """
    points = np.array([[-choice.cost / full_cost, choice.score] for choice in choices])
    return hypervolume(points, (-1.0, LOST)) / -LOST
