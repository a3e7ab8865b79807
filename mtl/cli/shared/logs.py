"""Reading the numbers that runs log, as JSON lines below ``<work dir>/<time>/vis_data/``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path


@dataclass(frozen=True)
class Log:
    """The numbers of one run.

    Args:
        name: of its folder.
        training: ``{key: {iteration: value}}``: losses, learning rate, times.
        evaluations: ``{key: {epoch or iteration: value}}``: metrics, as the run counts.
    """

    name: str
    training: dict[str, dict[int, float]] = field(default_factory=dict)
    evaluations: dict[str, dict[int, float]] = field(default_factory=dict)

    def matching(self, patterns: Sequence[str]) -> list[str]:
        """Keys of both kinds that match a pattern such as ``loss/*``, in the order they were logged."""
        keys = [*self.training, *self.evaluations]
        return [key for key in keys if any(fnmatch(key, pattern) for pattern in patterns)]

    def values(self, key: str) -> dict[int, float]:
        """``{step: value}`` of a key; empty for one that was not logged."""
        return self.training.get(key) or self.evaluations.get(key) or {}

    def results(self, step: int) -> dict[str, dict[str, float]]:
        """Metrics of the evaluation after ``step``, ``{width: {'<task>/<metric>': value}}``; empty without one."""
        found: dict[str, dict[str, float]] = {}
        for key, values in self.evaluations.items():
            kind, name = key.split('/', 1)
            width, name = ('full', name) if kind == 'metric' else name.split('/', 1) if kind == 'width' else ('', '')
            if name and math.isfinite(values.get(step, math.nan)):
                found.setdefault(width, {})[name] = values[step]
        return found


def read_log(path: str | Path) -> Log:
    """The log of a run.

    Args:
        path: work dir, one of its ``<time>`` folders, or a JSON-lines file. The starts of a run that was resumed are
            joined; where they overlap, the later one counts.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: a line that is not JSON.
    """
    path = Path(path)
    patterns = ('*/vis_data/scalars.json', 'vis_data/scalars.json', 'scalars.json')
    files = [path] if path.is_file() else next((found for p in patterns if (found := sorted(path.glob(p)))), [])
    if not files:
        raise FileNotFoundError(
            f'{path} is not the log of a run: expected a work dir with <time>/vis_data/scalars.json, or such a file.'
        )
    log = Log(path.resolve().name if path.is_dir() else path.resolve().parts[-4:][0])
    for file in files:
        for number, text in enumerate(file.read_text().splitlines(), 1):
            if text.strip():
                try:
                    _add(log, json.loads(text))
                except (json.JSONDecodeError, AttributeError) as error:
                    raise ValueError(f'{file}, line {number}, is not JSON of a log: {text[:60]}') from error
    return log


def _add(log: Log, row: dict) -> None:
    step = row.get('step')
    if step is None:
        return
    evaluates = any(key.startswith('metric/') for key in row)
    for key, value in row.items():
        if key in ('step', 'epoch', 'iter') or isinstance(value, (str, bool)) or value is None:
            continue
        if evaluates and not key.startswith(('metric/', 'width/')):
            key = f'evaluation/{key}'  # its time is another than that of a training step
        (log.evaluations if evaluates else log.training).setdefault(key, {})[step] = float(value)
