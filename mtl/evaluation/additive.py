"""What all metrics share: sums, never predictions."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence

import torch
from mmengine import dist
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mtl.tasks import Task, build_tasks


class AdditiveMetric(BaseMetric):
    """A metric whose whole state is a dict of tensors that are added up, over images and over processes.

    So memory does not grow with the data set, and several processes give what one gives: counts are integers and
    equal to the last digit, sums of errors are float64. The sums stay on the device of the predictions; nothing is
    read back before :meth:`evaluate`.

    Every image that is processed counts once. A distributed sampler must therefore not repeat images to fill the last
    round: ``sampler=dict(type='DefaultSampler', shuffle=False, round_up=False)``.

    Args:
        task: the task, or its config with its ``name``.
        prefix: first part of the metric names; the name of the task by default.
    """

    def __init__(self, task: Task | dict, prefix: str | None = None) -> None:
        if not isinstance(task, Task):
            task = dict(task)
            name = task.pop('name')
            task = build_tasks({name: task})[name]
        super().__init__(prefix=prefix or task.name)
        self.task = task
        self._totals: dict[str, Tensor] | None = None

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @abstractmethod
    def zeros(self) -> dict[str, Tensor]:
        """The statistics of no image: fixes names, shapes and types. ``pixels`` counts the valid pixels."""

    @abstractmethod
    def count(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The statistics of one image, from prediction and label of the same resolution, without a host sync."""

    @abstractmethod
    def summarize(self, totals: dict[str, Tensor]) -> dict[str, float]:
        """``{metric: value}`` from the added-up statistics, on the host."""

    @abstractmethod
    def best_constant(self, totals: dict[str, Tensor]) -> float:
        """Value of :attr:`headline` for the best prediction that ignores the image."""

    @property
    def headline(self) -> str:
        """Name of the metric that stands for the task."""
        return self.task.headline

    @property
    def variant(self) -> dict[str, object]:
        """The named choices that make values comparable, e.g. ``{'absent': 'skip'}``."""
        return {}

    def note(self, totals: dict[str, Tensor]) -> str:
        """What a reader of the value must know, below the table; '' for nothing."""
        return ''

    # ---- MMEngine's side ----------------------------------------------------------------------------------------

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Add a batch. Samples without a prediction or without a label of this task are passed over.

        Args:
            data_batch: not used.
            data_samples: :class:`mtl.structures.MultiTaskDataSample` as dicts, with ``gt_<task>`` and
                ``pred_<task>`` at the label's own resolution.

        Raises:
            ValueError: prediction and label differ in size.
        """
        name = self.task.name
        for sample in data_samples:
            prediction = sample.get(f'pred_{name}')
            if prediction is None:
                continue
            target = sample.get(f'gt_{name}')
            statistics = {'predicted': torch.ones((), dtype=torch.int64)}
            if target is not None:
                if prediction.shape[-2:] != target.shape[-2:]:
                    raise ValueError(
                        f'Task {name!r}: the prediction for sample {sample.get("sample_id", "?")!r} has size '
                        f'{tuple(prediction.shape[-2:])}, its label {tuple(target.shape[-2:])}. Metrics are computed '
                        "at the label's own resolution: resize the logits (not the class map) to it first."
                    )
                statistics |= self.count(prediction.detach(), target.to(prediction.device, non_blocking=True))
            self._add(statistics)

    def _add(self, statistics: dict[str, Tensor]) -> None:
        if self._totals is None:
            self._totals = self._all_zeros()
        for key, value in statistics.items():
            # moves the sum to the device of the predictions on the first image, is free afterwards
            self._totals[key] = self._totals[key].to(value.device) + value

    def _all_zeros(self) -> dict[str, Tensor]:
        return {'predicted': torch.zeros((), dtype=torch.int64), **self.zeros()}

    def evaluate(self, size: int) -> dict[str, float]:
        """Sum over processes, compute, start anew.

        Args:
            size: number of images of the data set; not needed.

        Returns:
            ``{'<prefix>/<metric>': value}``, the same in every process. Empty if the task was not predicted for any
            image; ``nan``, with a warning, if no valid pixel was met.
        """
        totals = self.gather()
        return {} if totals is None else self.named(totals)

    def gather(self) -> dict[str, Tensor] | None:
        """Statistics of all processes on the host, after which the metric starts anew; ``None`` if not predicted."""
        totals = self._all_zeros() if self._totals is None else self._totals
        self._totals = None
        totals = {key: value.cpu() for key, value in totals.items()}
        if dist.is_distributed():
            for value in totals.values():
                dist.all_reduce(value)
        if totals['predicted'] == 0:
            return None
        if totals['pixels'] == 0:
            print_log(
                f'Task {self.task.name!r} was predicted for {int(totals["predicted"])} images, but none of them has a '
                'valid labelled pixel: its metrics are nan.',
                logger='current',
                level=logging.WARNING,
            )
        return totals

    def named(self, totals: dict[str, Tensor]) -> dict[str, float]:
        """:meth:`summarize` under full metric names; all ``nan`` without a valid pixel."""
        empty = totals['pixels'] == 0
        return {
            f'{self.prefix}/{name}': float('nan') if empty else float(value)
            for name, value in self.summarize(totals).items()
        }

    def compute_metrics(self, results: list) -> dict:
        """Required by MMEngine's base class, whose per-image result list is not used here."""
        raise RuntimeError(f'{type(self).__name__} keeps sums, not results: call evaluate().')


def ratio(numerator: Tensor | float, denominator: Tensor | float) -> Tensor:
    """``numerator / denominator`` in float64; 0 / 0 is ``nan``, silently."""
    return torch.as_tensor(numerator, dtype=torch.float64) / torch.as_tensor(denominator, dtype=torch.float64)


def histogram(cells: Tensor, weights: Tensor, size: int) -> Tensor:
    """Weighted counts ``[size]`` of the integers ``cells``; unlike ``bincount`` without a host sync."""
    out = weights.new_zeros(size)
    return out.scatter_add_(0, cells.flatten(), weights.flatten())
