"""How far a network can be controlled: what budgets and preferences do to its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from mtl.models.slimmable.width import WidthConfig, WidthSpace
from mtl.search.width_search import options_of


def preference_vectors(tasks: Sequence[str], count: int, strength: float, seed: int) -> list[dict[str, float]]:
    """Different preferences: all tasks alike; each task ``strength`` times as important as the others, and so many
    times less; then random ones, of which each importance is one of 1, the root of ``strength``, and ``strength``.

    At least those that are not random.
    """
    vectors = [dict.fromkeys(tasks, 1.0)]
    vectors += [dict.fromkeys(tasks, 1.0) | {task: strength} for task in tasks]
    vectors += [dict.fromkeys(tasks, strength) | {task: 1.0} for task in tasks]
    generator = np.random.default_rng(seed)
    for _ in range(100 * count):
        if len(vectors) >= count:
            break
        drawn = generator.choice([1.0, strength**0.5, strength], len(tasks)).tolist()
        vector = dict(zip(tasks, drawn, strict=True))
        if len(set(drawn)) > 1 and vector not in vectors:
            vectors.append(vector)
    return vectors


def control(preferences: Sequence[Mapping[str, float]], gains: Sequence[Mapping[str, float]]) -> dict[str, dict]:
    """What a task's preference does to its result, over preferences at one budget.

    Args:
        preferences: importance by task.
        gains: relative performance of each task under each preference, in percent.

    Returns:
        By task: ``rank correlation`` (Spearman's) between its share of all importance and its performance, 0 where the
        performance never changes; ``span``: mean performance where its share is largest minus that where it is
        smallest; ``least`` and ``most``: range of its performance.
    """
    result = {}
    for task in preferences[0]:
        share = np.array([vector[task] / sum(vector.values()) for vector in preferences])
        gain = np.array([values[task] for values in gains])
        correlation = spearmanr(share, gain).statistic if len(np.unique(gain)) > 1 else 0.0
        most, least = np.isclose(share, share.max()), np.isclose(share, share.min())
        result[task] = {
            'rank correlation': float(correlation),
            'span': float(gain[most].mean() - gain[least].mean()),
            'least': float(gain.min()),
            'most': float(gain.max()),
        }
    return result


def budgets_between(least: float, most: float, count: int) -> list[float]:
    """Budgets whose ratios are equal, from ``least`` to ``most``."""
    budgets = np.geomspace(least, most, count)
    budgets[[0, -1]] = least, most  # rounding must not make the smallest impossible
    return budgets.tolist()


def uniform_widths(space: WidthSpace, tasks: Sequence[str]) -> list[WidthConfig]:
    """Widths of one ratio for all stages and tasks, the smallest first: what there is without a search."""
    common = sorted(set(options_of(space.encoder)) & set(options_of(space.decoder)))
    return [WidthConfig.uniform(ratio, space.stages, tasks) for ratio in common]
