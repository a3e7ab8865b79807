"""All tasks' metrics, the table and ``delta_m``."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from mmengine import dist
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from torch import Tensor

from mtl.evaluation.additive import AdditiveMetric
from mtl.evaluation.baseline import Baseline, BaselineResult, delta_m
from mtl.evaluation.table import Row, render
from mtl.registry import EVALUATOR, METRICS
from mtl.tasks import Task, build_tasks


@EVALUATOR.register_module()
class MultiTaskEvaluator(Evaluator):
    """One metric a task; results ``<task>/<metric>``, and ``delta_m`` where a baseline is given.

    Shares (mIoU, F, accuracies) are in percent, angles in degrees, depth in metres.

    In a config::

        val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict(semseg=dict(absent='zero')))

    ``metrics`` must be written even when empty: it is the key by which MMEngine's runner knows an evaluator.

    Args:
        tasks: ``{name: task or config}``.
        metrics: ``{name: overrides}`` of the config that the task's :meth:`mtl.tasks.Task.metric` returns.
        baseline: single-task results: a file, or the name of a published one (:mod:`mtl.evaluation.baseline`).
        table: log the table.
        prefix: put before every name (``<prefix>/<task>/<metric>``), e.g. to evaluate one model at several widths.
    """

    def __init__(
        self,
        tasks: Mapping[str, dict | Task],
        metrics: Mapping[str, dict] | None = None,
        baseline: str | None = None,
        table: bool = True,
        prefix: str | None = None,
    ) -> None:
        self.tasks = build_tasks(tasks)
        overrides = dict(metrics or {})
        unknown = sorted(set(overrides) - set(self.tasks))
        if unknown:
            raise ValueError(f'metrics names {", ".join(unknown)}; the tasks are {", ".join(self.tasks)}.')
        self.prefix = f'{prefix}/' if prefix else ''
        super().__init__(
            [
                METRICS.build({**task.metric(), **overrides.get(name, {}), 'task': task, 'prefix': self.prefix + name})
                for name, task in self.tasks.items()
            ]
        )
        self.baseline = Baseline.load(baseline) if baseline else None
        self.table = table
        self._images = 0

    def process(self, data_samples, data_batch=None) -> None:
        """See :meth:`AdditiveMetric.process`; counts the images."""
        self._images += len(data_samples)
        super().process(data_samples, data_batch)

    def evaluate(self, size: int) -> dict[str, float]:
        """Results of all tasks that were predicted, over all processes.

        Args:
            size: number of images of the data set, to notice images that a sampler repeated.
        """
        self._check_repetitions(size)
        results, rows, gains, remarks = {}, [], {}, []
        for metric in self.metrics:
            totals = metric.gather()
            if totals is None:
                continue
            values = metric.named(totals)
            results |= values
            note = metric.note(totals)
            if note:
                remarks.append(f'{metric.task.name}: {note}')
            reference = self._reference(metric, values, remarks)
            row = self._row(metric, totals, values, reference)
            rows.append(row)
            if row.gain is not None:
                gains[metric.task.name] = row.gain
        if gains:
            results[f'{self.prefix}delta_m'] = delta_m(gains)
        if self.table and rows:
            self._log(rows, gains, remarks)
        return results

    def _reference(
        self, metric: AdditiveMetric, values: Mapping[str, float], remarks: list[str]
    ) -> BaselineResult | None:
        """The baseline's result for the task, if the same metric was computed here."""
        name = metric.task.name
        reference = self.baseline.results.get(name) if self.baseline else None
        if reference is None:
            return None
        if f'{metric.prefix}/{reference.metric}' not in values:
            remarks.append(f'{name}: the baseline states {reference.metric}, which was not computed here')
            return None
        differing = [
            f'{key}={value} there, {metric.variant.get(key)} here'
            for key, value in reference.variant.items()
            if metric.variant.get(key) != value
        ]
        if differing:
            remarks.append(f'{name}: gain over a value of another variant ({"; ".join(differing)})')
        return reference

    def _row(
        self,
        metric: AdditiveMetric,
        totals: Mapping[str, Tensor],
        values: Mapping[str, float],
        reference: BaselineResult | None,
    ) -> Row:
        task = metric.task
        row = dict(
            task=task.name,
            metric=metric.headline,
            lower_is_better=task.lower_is_better,
            value=values[f'{metric.prefix}/{metric.headline}'],
            unit=task.unit,
            constant=metric.best_constant(totals),
        )
        if reference is not None:
            row['baseline'] = f'{reference.metric} {reference.value:g}'
            row['gain'] = reference.gain(values[f'{metric.prefix}/{reference.metric}'])
        return Row(**row)

    def _log(self, rows: list[Row], gains: Mapping[str, float], remarks: list[str]) -> None:
        lines = []
        if self.baseline:
            lines.append(f'baseline {self.baseline.name}: {self.baseline.source}')
        if gains:
            lines.append(f'delta_m {delta_m(gains):+.2f} % over {", ".join(gains)}')
        title = f'Evaluation {self.prefix.rstrip("/")}'.rstrip()
        print_log('\n' + render(rows, title, lines + remarks, bool(self.baseline)), logger='current')

    def _check_repetitions(self, size: int) -> None:
        images = torch.tensor(self._images)
        self._images = 0
        if dist.is_distributed():
            dist.all_reduce(images)
        if images > size:
            print_log(
                f'{int(images)} images were evaluated, but the data set has {size}: {int(images) - size} count twice. '
                "Use sampler=dict(type='DefaultSampler', shuffle=False, round_up=False).",
                logger='current',
                level=logging.WARNING,
            )
