"""How good a configuration is: results relative to a reference, weighed by preference."""

from __future__ import annotations

import math
from collections.abc import Mapping

from mtl.errors import ExplainedError
from mtl.evaluation import Baseline, BaselineResult
from mtl.tasks import Task


class ReferenceResultError(ExplainedError, ValueError):
    """A result of the reference that nothing can be compared with."""


def reference_from(results: Mapping[str, float], headlines: Mapping[str, str], tasks: Mapping[str, Task]) -> Baseline:
    """The full width's results as what other widths are compared with.

    Args:
        results: ``{'<task>/<metric>': value}`` of the full width.
        headlines: name of the metric that stands for each task.
        tasks: they know which direction is better.

    Raises:
        ReferenceResultError: a task has no result, or one that is not above 0.
    """
    reference = {}
    for task, metric in headlines.items():
        value = results.get(f'{task}/{metric}', math.nan)
        if not value > 0:
            raise ReferenceResultError(
                f'At full width {task} has {metric} = {value:g} on these images, and nothing can be told '
                'relative to that. Is the checkpoint trained, and do the images have its label? More images may help, '
                'or leave the task out (--tasks).'
            )
        reference[task] = BaselineResult(metric, value, tasks[task].lower_is_better)
    return Baseline('full width', 'the same calibration images', reference)


def relative_performance(results: Mapping[str, float], reference: Baseline) -> dict[str, float]:
    """Gain over the reference in percent, positive is better, by task; see :meth:`BaselineResult.gain`.

    A task whose result is missing or not a number counts as wholly lost, -100.
    """
    gains = {}
    for task, entry in reference.results.items():
        gain = entry.gain(results.get(f'{task}/{entry.metric}', math.nan))
        gains[task] = -100.0 if math.isnan(gain) else gain
    return gains


def weighted_performance(gains: Mapping[str, float], preference: Mapping[str, float]) -> float:
    """Mean of ``gains`` weighed by ``preference``, in percent; with equal preferences, ``delta_m``."""
    return sum(preference[task] * gain for task, gain in gains.items()) / sum(preference[task] for task in gains)
