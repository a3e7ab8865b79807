"""Single-task results to compare with, and ``delta_m``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mtl.writing import write_text

_PUBLISHED = Path(__file__).with_name('baselines')


@dataclass(frozen=True)
class BaselineResult:
    """One task's single-task result.

    Args:
        metric: name of the metric, without the task.
        value: in the metric's unit; percent where it is a share.
        lower_is_better: direction of the metric.
        variant: the choices the value was computed with, as :attr:`AdditiveMetric.variant` names them.
    """

    metric: str
    value: float
    lower_is_better: bool = False
    variant: Mapping[str, object] = field(default_factory=dict)

    def gain(self, value: float) -> float:
        """Relative gain of ``value`` over this result in percent; positive is better."""
        sign = -1.0 if self.lower_is_better else 1.0
        return 100 * sign * (value - self.value) / self.value


@dataclass(frozen=True)
class Baseline:
    """Single-task results by task, with where they come from."""

    name: str
    source: str
    results: Mapping[str, BaselineResult]

    @classmethod
    def load(cls, name_or_path: str | Path) -> Baseline:
        """Read a baseline file, by path or by the name of a published one.

        Raises:
            FileNotFoundError: neither a file nor a known name.
            ValueError: the file is not a baseline, or holds a value that nothing can be divided by.
        """
        path = Path(name_or_path)
        if not path.is_file():
            path = _PUBLISHED / f'{name_or_path}.json'
        if not path.is_file():
            raise FileNotFoundError(
                f'Baseline {str(name_or_path)!r} is neither a file nor a published baseline. Published ones: '
                f'{", ".join(published())}. Make one from your own runs with tools/analysis/make_baseline.py.'
            )
        try:
            content = json.loads(path.read_text())
            results = {task: BaselineResult(**result) for task, result in content['results'].items()}
            baseline = cls(content['name'], content['source'], results)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(
                f'{path} is not a baseline file ({error}). Expected {{"name", "source", "results": {{task: {{"metric", '
                '"value", "lower_is_better", "variant"}}}}.'
            ) from error
        for task, result in results.items():
            if not result.value > 0:
                raise ValueError(f'{path}: the result of task {task!r} must be above 0; found {result.value}.')
        return baseline

    def save(self, path: str | Path) -> None:
        """Write the file that :meth:`load` reads."""
        results = {task: vars(result) for task, result in self.results.items()}
        content = {'name': self.name, 'source': self.source, 'results': results}
        write_text(path, json.dumps(content, indent=2) + '\n')


def published() -> list[str]:
    """Names of the baselines that come with the package."""
    return sorted(path.stem for path in _PUBLISHED.glob('*.json'))


def delta_m(gains: Mapping[str, float]) -> float:
    """Mean relative gain over tasks, in percent (Maninis et al., CVPR 2019).

    ``1 / T * sum_t (-1)^lower_t (M_t - B_t) / B_t``, from the tasks' own terms.
    """
    return sum(gains.values()) / len(gains)
