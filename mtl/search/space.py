"""The configurations a search chooses from, as vectors of whole numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np


class SearchSpace:
    """Encoder ratios per stage and decoder ratios per task, the latter monotone in preference.

    A candidate is a vector of indices into the ratios, the smallest ratio first: one per stage, then one per *rank* of
    preference, from the least preferred tasks to the most preferred. Tasks of equal preference share a rank and thus
    a width; along the ranks the index never falls (ECMT, ICCV 2023: a more preferred task gets a larger decoder).

    Args:
        stages: number of encoder stages.
        encoder: ratios an encoder stage may have.
        decoder: ratios a decoder may have.
        preference: ``{task: importance}`` of every task, above 0.

    Attributes:
        sizes: number of options of each entry of a candidate.
        ranks: place of each task in the order of preference, 0 the least.
        n_ranks: number of different preferences.
    """

    def __init__(
        self, stages: int, encoder: Sequence[float], decoder: Sequence[float], preference: Mapping[str, float]
    ) -> None:
        wrong = {task: value for task, value in preference.items() if not 0 < value < math.inf}
        if wrong or not preference:
            raise ValueError(f'Preferences must be numbers above 0, one per task; found {wrong or preference}.')
        self.stages, self.preference = stages, dict(preference)
        self.encoder, self.decoder = (np.array(sorted(set(ratios))) for ratios in (encoder, decoder))
        levels = sorted(set(preference.values()))
        self.n_ranks = len(levels)
        self.ranks = {task: levels.index(value) for task, value in preference.items()}
        self.sizes = np.array([len(self.encoder)] * stages + [len(self.decoder)] * self.n_ranks)

    @property
    def smallest(self) -> np.ndarray:
        """The candidate of the smallest ratios."""
        return np.zeros_like(self.sizes)

    @property
    def largest(self) -> np.ndarray:
        """The candidate of the largest ratios."""
        return self.sizes - 1

    def __len__(self) -> int:
        """Number of candidates."""
        decoders = math.comb(len(self.decoder) + self.n_ranks - 1, self.n_ranks)
        return len(self.encoder) ** self.stages * decoders

    def everything(self, block: int = 2**16) -> Iterator[np.ndarray]:
        """All candidates, in blocks ``[<= block, D]``."""
        encoders = itertools.product(range(len(self.encoder)), repeat=self.stages)
        decoders = list(itertools.combinations_with_replacement(range(len(self.decoder)), self.n_ranks))
        candidates = (encoder + decoder for encoder in encoders for decoder in decoders)
        while chosen := list(itertools.islice(candidates, block)):
            yield np.array(chosen)

    def allowed(self, candidates: np.ndarray) -> np.ndarray:
        """Which of ``[N, D]`` lie in the space: boolean ``[N]``."""
        inside = np.all((candidates >= 0) & (candidates < self.sizes), axis=1)
        return inside & np.all(np.diff(candidates[:, self.stages :], axis=1) >= 0, axis=1)

    def sample(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Random candidates ``[count, D]``."""
        candidates = generator.integers(0, self.sizes, (count, len(self.sizes)))
        candidates[:, self.stages :].sort(axis=1)
        return candidates

    def steps(self, candidate: np.ndarray, change: int) -> np.ndarray:
        """The candidates that differ from ``candidate`` in one entry, by ``change`` (1 or -1)."""
        neighbours = candidate + change * np.eye(len(candidate), dtype=candidate.dtype)
        return neighbours[self.allowed(neighbours)]

    def candidate(self, encoder: Sequence[float], decoder: Mapping[str, float]) -> tuple[int, ...] | None:
        """The candidate of these ratios; ``None`` where they are none of the space."""
        if set(decoder) != set(self.ranks):
            return None
        by_rank = [{decoder[task] for task, r in self.ranks.items() if r == rank} for rank in range(self.n_ranks)]
        if any(len(found) > 1 for found in by_rank):
            return None
        indices = [np.flatnonzero(np.isclose(self.encoder, ratio)) for ratio in encoder]
        indices += [np.flatnonzero(np.isclose(self.decoder, ratio)) for found in by_rank for ratio in found]
        if not all(map(len, indices)):
            return None
        candidate = np.concatenate(indices)
        return tuple(candidate.tolist()) if self.allowed(candidate[None])[0] else None

    def ratios(self, candidates: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Of candidates ``[N, D]`` the encoder ratios ``[N, stages]`` and the decoder ratios ``{task: [N]}``."""
        decoders = {task: self.decoder[candidates[:, self.stages + rank]] for task, rank in self.ranks.items()}
        return self.encoder[candidates[:, : self.stages]], decoders
