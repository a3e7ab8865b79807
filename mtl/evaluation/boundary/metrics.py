"""The metric of the boundary task."""

from __future__ import annotations

from collections.abc import Sequence
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

_MODES = ('fast', 'full', 'off')


@METRICS.register_module()
class BoundaryMetric(AdditiveMetric):
    """Boundaries against a thin binary label.

    ``mode='full'`` is the benchmark: ``odsF`` (headline), ``oisF`` and ``AP`` in percent by a named recipe, at a few
    seconds an image and core.

    ``mode='fast'`` is for watching a training run: ``fastF`` (headline), F in percent at threshold 0.5 where a pixel
    is right if a pixel of the other map lies within ``max_dist`` of the diagonal, without thinning and without
    one-to-one matching; ``fastOdsF``, the same at the best of 49 thresholds, which tells maps apart that differ in how
    sure they are only; and ``loss``, the balanced cross entropy. None is comparable with published odsF.

    ``mode='off'`` computes nothing.

    Args:
        task: the boundary task.
        mode: ``'fast'``, ``'full'`` or ``'off'``.
        max_dist: tolerance as a share of the image diagonal: 0.0075 for PASCAL-Context and BSDS, 0.011 for NYUD-v2.
        recipe: of the full mode, see :mod:`mtl.evaluation.boundary.recipes`.
        image_list: file with the ids of the images that count, one a line; all by default. Published PASCAL-Context
            numbers use a list of 2,498 images.
        workers: processes of the full mode; all cores by default.
        cache: folder that keeps the counts of the full mode, so that an interrupted evaluation resumes.
        prefix: see :class:`AdditiveMetric`.
    """

    def __init__(
        self,
        task,
        mode: str = 'fast',
        max_dist: float = 0.0075,
        recipe: str = 'seism-nms',
        image_list: str | None = None,
        workers: int | None = None,
        cache: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(task, prefix)
        if mode not in _MODES:
            raise ValueError(f'mode must be one of {_MODES}; found {mode!r} for task {self.task.name!r}.')
        self.mode = mode
        self.protocol = Protocol(find_recipe(recipe), max_dist, cache=None if cache is None else Path(cache))
        self.images = None if image_list is None else frozenset(read_list(Path(image_list)))
        self.workers = default_workers() if workers is None else workers
        self._pool: Executor | None = None
        self._pending: list[Future] = []

    @property
    def headline(self) -> str:
        return 'odsF' if self.mode == 'full' else 'fastF'

    @property
    def variant(self) -> dict[str, object]:
        common = {'mode': self.mode, 'max_dist': self.protocol.max_dist}
        return common | {'recipe': self.protocol.recipe.name} if self.mode == 'full' else common

    def note(self, totals: dict[str, Tensor]) -> str:
        if self.mode == 'full':
            return f'{self.headline} by {self.protocol}, {int(totals["images"])} images'
        return 'fastF has no thinning and no one-to-one matching: for watching a run, not comparable with odsF'

    def zeros(self) -> dict[str, Tensor]:
        if self.mode != 'full':
            return fast_zeros()
        levels = len(self.protocol.used_thresholds)
        scalar = torch.zeros((), dtype=torch.int64)
        return {
            'pixels': scalar,
            'images': scalar.clone(),
            'counts': torch.zeros(levels, 4, dtype=torch.int64),
            'best': torch.zeros(4, dtype=torch.int64),
            'ones': torch.zeros(1, 4, dtype=torch.int64),
        }

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        if self.mode == 'off':
            return
        if self.images is not None:
            data_samples = [sample for sample in data_samples if sample['sample_id'] in self.images]
        super().process(data_batch, data_samples)

    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        valid, positive = self.task.valid(target), target == 1
        if self.mode == 'fast':
            probability = prediction.float().nan_to_num(0.0)
            return fast_counts(probability, positive, valid, self.protocol.max_dist)
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
        if self.mode == 'full':
            return scores(totals['counts'].numpy(), totals['best'].numpy())
        loss = balanced_loss(totals, self.task.pos_weight)
        return {'fastF': fast_f(totals), 'fastOdsF': fast_ods_f(totals), 'loss': loss}

    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Boundaries everywhere (which thinning reduces to a skeleton in full mode)."""
        if self.mode == 'full':
            return scores(totals['ones'].numpy(), totals['best'].numpy())['odsF']
        return fast_f_of_ones(totals)


def count_with_ones(protocol: Protocol, prediction: np.ndarray, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Counts ``[T, 4]`` of the prediction, and ``[1, 4]`` of an all-ones map, for which one threshold says it all."""
    ones = replace(protocol, thresholds=(0.5,)).count(np.ones_like(prediction), truth)
    return protocol.count(prediction, truth), ones
