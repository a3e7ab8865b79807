"""The table that ends an evaluation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """What the table says of one task.

    Args:
        task: its name.
        metric: name of the headline metric.
        lower_is_better: its direction.
        value: the result.
        unit: its unit.
        constant: the result of the best prediction that ignores the image.
        baseline: the single-task result as text, '' without one.
        gain: relative gain over the baseline in percent, ``None`` without one.
    """

    task: str
    metric: str
    lower_is_better: bool
    value: float
    unit: str
    constant: float
    baseline: str = ''
    gain: float | None = None


def render(rows: Sequence[Row], title: str, remarks: Sequence[str], with_baseline: bool) -> str:
    """Plain text of the table, with a line a remark below it, for a log file."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left')
    for name in ('task', 'metric'):
        table.add_column(name)
    for name in ('value', 'best constant', *(('single task', 'gain %') if with_baseline else ())):
        table.add_column(name, justify='right')
    for row in rows:
        arrow = '↓' if row.lower_is_better else '↑'
        unit = f' {row.unit}' if row.unit else ''
        cells = [row.task, f'{row.metric} {arrow}', f'{row.value:.3f}{unit}', f'{row.constant:.3f}{unit}']
        if with_baseline:
            cells += [row.baseline, '' if row.gain is None else f'{row.gain:+.2f}']
        table.add_row(*cells)
    console = Console(file=io.StringIO(), width=110, no_color=True)
    console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    return '\n'.join([*lines, *(f'  {remark}' for remark in remarks)])
