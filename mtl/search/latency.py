"""Latency of any width, from a few that were measured on the device."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls
from scipy.stats import spearmanr

from mtl.errors import ExplainedError
from mtl.models.slimmable.width import WidthConfig
from mtl.writing import write_text


class LatencyError(ExplainedError, ValueError):
    """A latency table that cannot be read, or that is of another network."""


@dataclass(frozen=True)
class LatencyTable:
    """Milliseconds of one image: a constant, plus what each stage and each decoder takes at its ratio (ours).

    Between the ratios of the table (the knots), a part's time is interpolated linearly.

    Args:
        encoder: knots of the encoder's ratios, rising.
        decoder: knots of the decoders' ratios, rising.
        constant: milliseconds at the smallest knots.
        stages: ``[stages, knots - 1]``: what each step from one knot to the next adds; none is negative.
        tasks: ``{task: [knots - 1]}``, likewise.
        about: device, size, errors and so on, for the reader.
    """

    encoder: tuple[float, ...]
    decoder: tuple[float, ...]
    constant: float
    stages: tuple[tuple[float, ...], ...]
    tasks: Mapping[str, tuple[float, ...]]
    about: Mapping[str, object]

    @classmethod
    def fit(
        cls,
        widths: Sequence[WidthConfig],
        milliseconds: Sequence[float],
        encoder: Sequence[float],
        decoder: Sequence[float],
        about: Mapping[str, object] | None = None,
    ) -> LatencyTable:
        """The table whose relative errors on measured widths have the smallest sum of squares.

        Non-negative least squares: more of a network never takes less time.

        Args:
            widths: of all stages and tasks.
            milliseconds: measured, one per width.
            encoder, decoder: knots.
            about: see the class.
        """
        encoder, decoder = tuple(sorted(encoder)), tuple(sorted(decoder))
        tasks, measured = tuple(widths[0].decoder), np.asarray(milliseconds, dtype=np.float64)
        ratios = np.array([w.encoder for w in widths]), {t: np.array([w.decoder[t] for w in widths]) for t in tasks}
        rows = _rows(*ratios, encoder, decoder, tasks)
        solution, _ = nnls(rows / measured[:, None], np.ones(len(measured)))
        steps = iter(solution[1:].tolist())
        stages = tuple(tuple(next(steps) for _ in encoder[1:]) for _ in widths[0].encoder)
        of_tasks = {task: tuple(next(steps) for _ in decoder[1:]) for task in tasks}
        return cls(encoder, decoder, float(solution[0]), stages, of_tasks, dict(about or {}))

    def __call__(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """Milliseconds ``[N]`` for ratios ``[N, stages]`` and ``{task: [N]}``.

        Raises:
            LatencyError: another number of stages, or other tasks, than were measured.
        """
        encoder = np.asarray(encoder)
        if encoder.shape[1] != len(self.stages) or set(decoder) != set(self.tasks):
            raise LatencyError(
                f'The latency table is of {len(self.stages)} stages and the tasks {", ".join(self.tasks)}; found '
                f'{encoder.shape[1]} stages and {", ".join(decoder)}. Measure this network.'
            )
        rows = _rows(encoder, decoder, self.encoder, self.decoder, tuple(self.tasks))
        steps = [self.constant, *np.ravel(self.stages), *(step for task in self.tasks.values() for step in task)]
        return rows @ np.array(steps)

    def errors(self, widths: Sequence[WidthConfig], milliseconds: Sequence[float]) -> dict[str, float]:
        """How well widths that were not used in :meth:`fit` are predicted.

        Returns:
            ``mean`` and ``largest`` relative error in percent, and Spearman's ``rank correlation`` (0 where one of
            the two is constant).
        """
        found = np.array([self.of(width) for width in widths])
        relative = 100 * np.abs(found - milliseconds) / np.asarray(milliseconds)
        varies = min(len(np.unique(found)), len(np.unique(milliseconds))) > 1
        return {
            'mean': float(relative.mean()),
            'largest': float(relative.max()),
            'rank correlation': float(spearmanr(found, milliseconds).statistic) if varies else 0.0,
        }

    def of(self, width: WidthConfig) -> float:
        """Milliseconds of one width."""
        return float(self(np.array([width.encoder]), {task: np.array([r]) for task, r in width.decoder.items()})[0])

    def save(self, path: str | Path) -> None:
        """Write a JSON file."""
        write_text(path, json.dumps({**vars(self), 'tasks': dict(self.tasks)}, indent=2) + '\n')

    @classmethod
    def load(cls, path: str | Path) -> LatencyTable:
        """Read a JSON file.

        Raises:
            LatencyError: there is no such file, or it holds something else.
        """
        try:
            values = json.loads(Path(path).read_text())
            values['stages'] = tuple(map(tuple, values['stages']))
            values['tasks'] = {task: tuple(steps) for task, steps in values['tasks'].items()}
            values['encoder'], values['decoder'] = tuple(values['encoder']), tuple(values['decoder'])
            return cls(**values)
        except OSError as error:
            raise LatencyError(
                f'There is no latency table {path}: tools/analysis/measure_latency.py makes one.'
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LatencyError(
                f'{path} is not a latency table of tools/analysis/measure_latency.py ({error}).'
            ) from error


def _rows(
    encoder: np.ndarray,
    decoder: Mapping[str, np.ndarray],
    encoder_knots: Sequence[float],
    decoder_knots: Sequence[float],
    tasks: Sequence[str],
) -> np.ndarray:
    """What of each step between knots a width has, ``[N, 1 + steps]``: 0 to 1."""
    stages = [_steps(encoder[:, stage], encoder_knots) for stage in range(encoder.shape[1])]
    return np.concatenate(
        [np.ones((len(encoder), 1)), *stages, *(_steps(np.asarray(decoder[task]), decoder_knots) for task in tasks)], 1
    )


def _steps(ratios: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    low, high = np.array(knots[:-1]), np.array(knots[1:])
    return np.clip((ratios[:, None] - low) / (high - low), 0, 1)
