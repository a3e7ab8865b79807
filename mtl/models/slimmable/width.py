"""A width: how much of the encoder's stages and of each task's decoder runs; and the space of those allowed."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from mtl.errors import ExplainedError
from mtl.writing import write_text

Owner = int | str | tuple[str, ...]  # what a width ratio belongs to: a stage, a task, or several tasks together
ONE_WIDTH = 'The network has one width only: it was not trained for several (model.slimming). Leave the width out.'


class WidthError(ExplainedError, ValueError):
    """A width that does not fit; the message says why."""


@dataclass(frozen=True)
class WidthConfig:
    """One ratio per stage of the encoder and one per decoder (ECMT, ICCV 2023: encoder and decoders slim separately).

    A ratio in ``(0, 1]`` is the share of a stage's attention heads and MLP units, or of a decoder's channels, that
    runs: the first ones. :class:`WidthGroup` turns ratios into numbers of units. Equal widths are equal and hash alike.

    The config and JSON form is ``dict(encoder=[1.0, 0.5, 0.5, 0.25], decoder=dict(semseg=1.0, normals=0.5))``.

    Args:
        encoder: ratio of each stage.
        decoder: ratio of each task.

    Raises:
        WidthError: a ratio outside ``(0, 1]``, or no stage or no task.
    """

    encoder: tuple[float, ...]
    decoder: Mapping[str, float]

    def __post_init__(self) -> None:
        encoder = tuple(_ratio(value, f'stage {stage}') for stage, value in enumerate(self.encoder))
        decoder = {str(task): _ratio(value, f'task {task}') for task, value in self.decoder.items()}
        if not encoder or not decoder:
            raise WidthError(f'A width needs a ratio for every stage and every task; found {encoder} and {decoder}.')
        object.__setattr__(self, 'encoder', encoder)
        object.__setattr__(self, 'decoder', MappingProxyType(decoder))

    @classmethod
    def uniform(cls, ratio: float, stages: int, tasks: Iterable[str]) -> WidthConfig:
        """The same ratio everywhere."""
        return cls((ratio,) * stages, dict.fromkeys(tasks, ratio))

    @classmethod
    def full(cls, stages: int, tasks: Iterable[str]) -> WidthConfig:
        """Everything runs."""
        return cls.uniform(1.0, stages, tasks)

    def ratio(self, owner: Owner) -> float:
        """The ratio of a stage (its index), a task (its name), or the largest of several tasks (a tuple).

        Of several tasks, those that the width does not name do not run and do not count.
        """
        if isinstance(owner, int):
            return self.encoder[owner]
        if isinstance(owner, str):
            return self.decoder[owner]
        return max(self.decoder[task] for task in owner if task in self.decoder)

    def for_tasks(self, tasks: Iterable[str]) -> WidthConfig:
        """The same width of fewer tasks.

        Raises:
            WidthError: a task that the width does not name.
        """
        tasks = tuple(tasks)
        unknown = [task for task in tasks if task not in self.decoder]
        if unknown:
            raise WidthError(f'The width has no ratio for {", ".join(unknown)}; it has {", ".join(self.decoder)}.')
        return WidthConfig(self.encoder, {task: self.decoder[task] for task in tasks})

    # ---- files ----------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict:
        """The config form."""
        return dict(encoder=list(self.encoder), decoder=dict(self.decoder))

    @classmethod
    def from_dict(cls, values: Mapping) -> WidthConfig:
        """Read the config form.

        Raises:
            WidthError: other keys than ``encoder`` and ``decoder``, or values that are not ratios.
        """
        if not isinstance(values, Mapping) or set(values) != {'encoder', 'decoder'}:
            found = ', '.join(map(str, values)) if isinstance(values, Mapping) else repr(values)
            raise WidthError(f"A width has two entries, 'encoder' and 'decoder'; found {found}.")
        if not isinstance(values['encoder'], Sequence) or not isinstance(values['decoder'], Mapping):
            raise WidthError("'encoder' must be a list of one ratio per stage, 'decoder' a mapping of one per task.")
        return cls(tuple(values['encoder']), dict(values['decoder']))

    def save(self, path: str | Path) -> None:
        """Write a JSON file."""
        write_text(path, json.dumps(self.to_dict(), indent=2) + '\n')

    @classmethod
    def load(cls, path: str | Path) -> WidthConfig:
        """Read a JSON file.

        Raises:
            WidthError: there is no such file, or it does not hold a width.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text()))
        except OSError as error:
            raise WidthError(f'There is no width file {path}.') from error
        except json.JSONDecodeError as error:
            raise WidthError(f'{path} is not JSON: {error}.') from error
        except WidthError as error:
            raise WidthError(f'{path}: {error}') from error

    def __str__(self) -> str:
        tasks = ', '.join(f'{task} {ratio:.4g}' for task, ratio in self.decoder.items())
        return f'encoder {" ".join(f"{ratio:.4g}" for ratio in self.encoder)}; {tasks}'

    def __hash__(self) -> int:
        return hash((self.encoder, frozenset(self.decoder.items())))

    def __reduce__(self) -> tuple[type[WidthConfig], tuple]:
        return WidthConfig, (self.encoder, dict(self.decoder))


def _ratio(value: float, of: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise WidthError(f'A width ratio is a number above 0 and at most 1; found {value!r} for {of}.')
    return float(value)


@dataclass(frozen=True)
class WidthSpace:
    """The widths a network is trained for: any combination of the allowed ratios.

    Args:
        stages: number of the encoder's stages.
        tasks: names of the tasks.
        encoder, decoder: allowed ratios: a list that holds 1, or one number for any ratio from there to 1.

    Raises:
        WidthError: ratios outside ``(0, 1]``, or a list without 1 (the full width is the teacher).
    """

    stages: int
    tasks: tuple[str, ...]
    encoder: tuple[float, ...] | float = (0.25, 0.5, 0.75, 1.0)
    decoder: tuple[float, ...] | float = (0.25, 0.5, 0.75, 1.0)

    def __post_init__(self) -> None:
        object.__setattr__(self, 'tasks', tuple(self.tasks))
        for part in ('encoder', 'decoder'):
            object.__setattr__(self, part, _allowed(getattr(self, part), part))

    @cached_property
    def full(self) -> WidthConfig:
        """The largest width."""
        return WidthConfig.full(self.stages, self.tasks)

    @property
    def single(self) -> bool:
        """Whether it holds the full width only."""
        return self.small == self.full

    @cached_property
    def small(self) -> WidthConfig:
        """The smallest width."""
        encoder, decoder = _smallest(self.encoder), _smallest(self.decoder)
        return WidthConfig((encoder,) * self.stages, dict.fromkeys(self.tasks, decoder))

    def sample(self, draw: random.Random) -> WidthConfig:
        """A width whose every ratio is drawn independently and uniformly."""
        encoder = tuple(_draw(self.encoder, draw) for _ in range(self.stages))
        return WidthConfig(encoder, {task: _draw(self.decoder, draw) for task in self.tasks})

    def check(self, width: WidthConfig) -> WidthConfig:
        """``width`` itself.

        Raises:
            WidthError: it has other stages or tasks than the network, or a ratio that is not allowed.
        """
        if len(width.encoder) != self.stages:
            raise WidthError(f'The network has {self.stages} stages; the width has {len(width.encoder)} ({width}).')
        unknown = [task for task in width.decoder if task not in self.tasks]
        if unknown:
            raise WidthError(f'The width names {", ".join(unknown)}; the tasks are {", ".join(self.tasks)}.')
        for part, allowed, ratios in (
            ('encoder', self.encoder, width.encoder),
            ('decoder', self.decoder, width.decoder.values()),
        ):
            for ratio in ratios:
                if not _is_allowed(ratio, allowed):
                    if self.single:
                        raise WidthError(ONE_WIDTH)
                    raise WidthError(
                        f'{ratio:g} is not among the {part} ratios that this network was trained for: '
                        f'{_listed(allowed)}.'
                    )
        return width

    def named(self, name: str | Mapping | WidthConfig) -> WidthConfig:
        """A width by name (``'full'``, ``'small'``), by JSON file, or in config form; :meth:`check`-ed.

        Raises:
            WidthError: see :meth:`check` and :meth:`WidthConfig.load`; ``'small'`` where there is one width only.
        """
        if isinstance(name, WidthConfig):
            return self.check(name)
        if isinstance(name, Mapping):
            return self.check(WidthConfig.from_dict(name))
        if name == 'small' and self.single:
            raise WidthError(ONE_WIDTH)
        if name in ('full', 'small'):
            return getattr(self, name)
        return self.check(WidthConfig.load(name))


def _allowed(ratios: Sequence[float] | float, part: str) -> tuple[float, ...] | float:
    if isinstance(ratios, (int, float)):
        return _ratio(ratios, part)
    ratios = tuple(sorted({_ratio(value, part) for value in ratios}))
    if not ratios or ratios[-1] != 1:
        raise WidthError(f'The {part} ratios must hold 1 (the full width teaches the others); found {_listed(ratios)}.')
    return ratios


def _smallest(allowed: tuple[float, ...] | float) -> float:
    return allowed if isinstance(allowed, float) else allowed[0]


def _draw(allowed: tuple[float, ...] | float, draw: random.Random) -> float:
    return draw.uniform(allowed, 1.0) if isinstance(allowed, float) else draw.choice(allowed)


def _is_allowed(ratio: float, allowed: tuple[float, ...] | float) -> bool:
    if isinstance(allowed, float):
        return ratio >= allowed
    return any(math.isclose(ratio, other, rel_tol=1e-6) for other in allowed)


def _listed(allowed: tuple[float, ...] | float) -> str:
    return f'{allowed:g} to 1' if isinstance(allowed, float) else ', '.join(f'{ratio:g}' for ratio in allowed)
