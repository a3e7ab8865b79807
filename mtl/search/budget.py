"""What a configuration may cost, and in which unit that is said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtl.models.slimmable.width import WidthConfig
from mtl.search.cost_table import CostTable

# unit as typed, in lower case: unit as written
UNITS = {'gmacs': 'GMACs', 'gflops': 'GFLOPs', 'params': 'parameters', 'parameters': 'parameters', 'ms': 'ms'}


@dataclass(frozen=True)
class Budget:
    """The most a configuration may cost.

    Args:
        unit: ``'GMACs'`` (10^9 multiply-accumulate operations), ``'GFLOPs'`` (10^9 floating point operations, two a
            multiply-accumulate), ``'parameters'`` or ``'ms'`` (latency of one image).
        value: in that unit.
    """

    unit: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``'GMACs=4.5'``, ``'GFLOPs=9'``, ``'params=12M'`` or ``'ms=30'``.

        Raises:
            ValueError: another form, unit, or a value that is not above 0.
        """
        match = re.fullmatch(r'\s*([A-Za-z]+)\s*=\s*([0-9.]+(?:e[+-]?\d+)?)\s*([kKmM]?)\s*', text)
        unit = UNITS.get(match[1].lower()) if match else None
        if match is None or unit is None or (match[3] and unit != 'parameters'):
            raise ValueError(
                f'A budget is GFLOPs=VALUE, GMACs=VALUE, params=VALUE (also 12M) or ms=VALUE; found {text!r}.'
            )
        try:
            value = float(match[2]) * {'': 1, 'k': 1e3, 'm': 1e6}[match[3].lower()]
        except ValueError:
            value = 0.0
        if not value > 0:
            raise ValueError(f'A budget must be a number above 0; found {text!r}.')
        return cls(unit, value)

    def __str__(self) -> str:
        return in_unit(self.value, self.unit)


class Costs:
    """Costs of configurations in one unit.

    Args:
        unit: see :class:`Budget`.
        table: of the network.
    """

    def __init__(self, unit: str, table: CostTable) -> None:
        self.unit, self.table = unit, table

    def __call__(self, encoder: np.ndarray, decoder: Mapping[str, np.ndarray]) -> np.ndarray:
        """``[N]`` for ratios ``[N, stages]`` and ``{task: [N]}``."""
        if self.unit == 'ms':
            return self.table.milliseconds(encoder, decoder)
        if self.unit == 'parameters':
            return self.table.parameters(encoder, decoder).astype(np.float64)
        return self.table.macs(encoder, decoder) * (2e-9 if self.unit == 'GFLOPs' else 1e-9)

    def of(self, width: WidthConfig) -> float:
        """Cost of one width."""
        return float(self(np.array([width.encoder]), {task: np.array([r]) for task, r in width.decoder.items()})[0])


def in_unit(value: float, unit: str) -> str:
    """A cost for reading, e.g. ``'4.5 GMACs'``, ``'12.3 M parameters'``."""
    if unit == 'parameters':
        return f'{value / 1e6:.4g} M parameters' if value >= 1e5 else f'{value:.0f} parameters'
    return f'{value:.4g} {unit}'
