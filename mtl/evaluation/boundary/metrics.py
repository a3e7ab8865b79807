"""The metrics of the boundary task."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric
from mtl.evaluation.boundary.counts import best_counts, scores
from mtl.evaluation.boundary.fast import (
    balanced_loss,
    fast_counts,
    fast_f,
    fast_f_of_ones,
    fast_ods_f,
    fast_zeros,
)
from mtl.evaluation.boundary.files import Truth
from mtl.evaluation.boundary.pool import Protocol, default_workers, open_pool
from mtl.evaluation.boundary.recipes import find_recipe
from mtl.files import read_list
from mtl.registry import METRICS


class _BoundaryMetric(AdditiveMetric):
    """Boundaries against a thin binary label, on the images of a list."""

    mode: str

    def __init__(
        self,
        task,
        max_dist: float = 0.0075,
        image_list: str | Collection[str] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(task, prefix)
        self.max_dist = max_dist
        listed = read_list(Path(image_list)) if isinstance(image_list, (str, Path)) else image_list
        self.images = None if listed is None else frozenset(listed)

    @property
    def variant(self) -> dict[str, object]:
        return {'mode': self.mode, 'max_dist': self.max_dist}

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        if self.images is not None:
            data_samples = [sample for sample in data_samples if sample.get('sample_id') in self.images]
        super().process(data_batch, data_samples)


@METRICS.register_module()
class FastBoundaryMetric(_BoundaryMetric):
    """Boundaries while a network trains: not comparable with published odsF.

    ``fastF`` (headline) is F in percent at threshold 0.5 where a pixel is right if a pixel of the other map lies
    within ``max_dist`` of the diagonal, without thinning and without one-to-one matching. ``fastOdsF`` is the same at
    the best of 49 thresholds, so it does not depend on how sure the network is. ``loss`` is the balanced cross entropy.

    Args:
        task, max_dist, image_list, prefix: see :func:`BoundaryMetric`.
    """

    mode = 'fast'
    headline = 'fastF'

    def note(self, totals: dict[str, Tensor]) -> str:
        return 'fastF has no thinning and no one-to-one matching: for watching a run, not comparable with odsF'

    def zeros(self) -> dict[str, Tensor]:
        return fast_zeros()

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        probability = prediction.float().nan_to_num(0.0)
        return fast_counts(probability, target == 1, self.task.valid(target), self.max_dist)

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        loss = balanced_loss(totals, self.task.pos_weight)
        return {'fastF': fast_f(totals), 'fastOdsF': fast_ods_f(totals), 'loss': loss}

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Boundaries everywhere."""
        return fast_f_of_ones(totals)


@METRICS.register_module()
class FullBoundaryMetric(_BoundaryMetric):
    """The benchmark: ``odsF`` (headline), ``oisF`` and ``AP`` in percent by a named recipe.

    It takes a few seconds per image and core.

    Args:
        task, max_dist, recipe, image_list, workers, cache, prefix: see :func:`BoundaryMetric`.
    """

    mode = 'full'
    headline = 'odsF'

    def __init__(
        self,
        task,
        max_dist: float = 0.0075,
        recipe: str = 'seism-nms',
        image_list: str | Collection[str] | None = None,
        workers: int | None = None,
        cache: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(task, max_dist, image_list, prefix)
        self.protocol = Protocol(find_recipe(recipe), max_dist, cache=None if cache is None else Path(cache))
        self.workers = default_workers() if workers is None else workers
        self._pool: Executor | None = None
        self._pending: list[Future] = []

    @property
    def variant(self) -> dict[str, object]:
        return {**super().variant, 'recipe': self.protocol.recipe.name}

    def note(self, totals: dict[str, Tensor]) -> str:
        return f'{self.headline} by {self.protocol}, {int(totals["images"])} images'

    def zeros(self) -> dict[str, Tensor]:
        levels = len(self.protocol.used_thresholds)
        scalar = torch.zeros((), dtype=torch.int64)
        return {
            'pixels': scalar,
            'images': scalar.clone(),
            'counts': torch.zeros(levels, 4, dtype=torch.int64),
            'best': torch.zeros(4, dtype=torch.int64),
            'ones': torch.zeros(1, 4, dtype=torch.int64),
        }

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid, positive = self.task.valid(target), target == 1
        self._submit(prediction.float().cpu().numpy(), Truth([positive.cpu().numpy()], valid.cpu().numpy()))
        return {'pixels': valid.sum().cpu()}

    def _submit(self, prediction: np.ndarray, truth: Truth) -> None:
        """Hand an image to the pool; no more than a few wait there, so that memory does not grow."""
        if self.workers == 1:
            self._add_counts(*count_with_ones(self.protocol, prediction, truth))
            return
        if self._pool is None:
            self._pool = open_pool(self.workers)
        self._pending.append(self._pool.submit(count_with_ones, self.protocol, prediction, truth))
        if len(self._pending) > 4 * self.workers:
            self._collect(1)

    def _collect(self, count: int) -> None:
        for future in self._pending[:count]:
            self._add_counts(*future.result())
        del self._pending[:count]

    def _add_counts(self, counts: np.ndarray, ones: np.ndarray) -> None:
        statistics = {'counts': counts, 'best': best_counts(counts), 'ones': ones, 'images': np.int64(1)}
        self._add({name: torch.as_tensor(value) for name, value in statistics.items()})

    def gather(self) -> dict[str, Tensor] | None:
        self._collect(len(self._pending))
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return super().gather()

    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        return scores(totals['counts'].numpy(), totals['best'].numpy())

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Boundaries everywhere, which thinning reduces to a skeleton."""
        return scores(totals['ones'].numpy(), totals['best'].numpy())['odsF']


@METRICS.register_module()
def BoundaryMetric(  # noqa: N802 (a config names it as it names the classes)
    task,
    mode: str = 'fast',
    max_dist: float = 0.0075,
    recipe: str = 'seism-nms',
    image_list: str | Collection[str] | None = None,
    workers: int | None = None,
    cache: str | None = None,
    prefix: str | None = None,
) -> FastBoundaryMetric | FullBoundaryMetric:
    """The metric of a mode.

    Args:
        task: the boundary task, see :class:`AdditiveMetric`.
        mode: ``'fast'`` for :class:`FastBoundaryMetric`, ``'full'`` for :class:`FullBoundaryMetric`, ``'off'`` for a
            metric of no image.
        max_dist: tolerance as a share of the image diagonal: 0.0075 for PASCAL-Context and BSDS, 0.011 for NYUD-v2.
        recipe: of the full mode, see :mod:`mtl.evaluation.boundary.recipes`.
        image_list: ids of the images that count, or a file with one id per line; all by default. Published
            PASCAL-Context numbers use a list of 2,498 images.
        workers: processes of the full mode; all cores by default.
        cache: folder that keeps the counts of the full mode, so that an interrupted evaluation resumes.
        prefix: see :class:`AdditiveMetric`.

    Raises:
        ValueError: an unknown mode or recipe.
    """
    find_recipe(recipe)  # a wrong name is found in every mode
    if mode == 'full':
        return FullBoundaryMetric(task, max_dist, recipe, image_list, workers, cache, prefix)
    if mode == 'fast':
        return FastBoundaryMetric(task, max_dist, image_list, prefix)
    metric = FastBoundaryMetric(task, max_dist, (), prefix)
    if mode != 'off':
        raise ValueError(f"mode must be one of ('fast', 'full', 'off'); found {mode!r} for task {metric.task.name!r}.")
    return metric


def count_with_ones(protocol: Protocol, prediction: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``[T, 4]`` of the prediction, and ``[1, 4]`` of an all-ones map, for which one threshold says it all."""
    ones = replace(protocol, thresholds=(0.5,)).count(np.ones_like(prediction), truth)
    return protocol.count(prediction, truth), ones
