"""Tables, files and pictures of what a search found."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure  # MMEngine depends on matplotlib
from rich import box
from rich.console import Console
from rich.table import Table

from mtl.evaluation import Baseline
from mtl.search.budget import Budget, in_unit
from mtl.search.cost_table import CostTable
from mtl.search.width_search import LOST, Choice
from mtl.writing import write_text


def table_of(choices: Sequence[Choice], reference: Baseline, unit: str, title: str) -> str:
    """Plain text: a line a choice."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left')
    table.add_column('performance', justify='right')
    table.add_column('cost', justify='right')
    table.add_column('encoder')
    for task, entry in reference.results.items():
        table.add_column(f'{task}\nwidth, {entry.metric} {"↓" if entry.lower_is_better else "↑"}', justify='right')
    for choice in choices:
        encoder = ' '.join(f'{ratio:.2g}' for ratio in choice.width.encoder)
        tasks = [
            f'{choice.width.decoder[task]:.2g}, {choice.results.get(f"{task}/{entry.metric}", float("nan")):.2f}'
            for task, entry in reference.results.items()
        ]
        table.add_row(f'{choice.score:+.2f} %', in_unit(choice.cost, unit), encoder, *tasks)
    return as_text(table)


def as_text(table: Table) -> str:
    """A rich table for a log file or a terminal of any width."""
    console = Console(file=io.StringIO(), width=160, no_color=True)
    console.print(table)
    return '\n'.join(line.rstrip() for line in console.file.getvalue().splitlines())


def records(choices: Sequence[Choice], table: CostTable, unit: str) -> list[dict]:
    """The choices as plain values."""
    return [
        {
            'width': choice.width.to_dict(),
            'performance': choice.score,
            unit: choice.cost,
            **table.of(choice.width),
            'gains': dict(choice.gains),
            'results': dict(choice.results),
        }
        for choice in choices
    ]


def write_json(path: str | Path, content: Mapping) -> None:
    """Write plain values."""
    write_text(path, json.dumps(content, indent=2) + '\n')


def write_csv(path: str | Path, rows: Sequence[Mapping]) -> None:
    """Write :func:`records` as a table, nested values with their names joined by a slash or a dot."""
    flat = [
        {
            **{f'encoder.{stage}': ratio for stage, ratio in enumerate(row['width']['encoder'])},
            **{f'decoder.{task}': ratio for task, ratio in row['width']['decoder'].items()},
            **{key: value for key, value in row.items() if not isinstance(value, dict)},
            **{f'gain/{task}': value for task, value in row['gains'].items()},
            **row['results'],
        }
        for row in rows
    ]
    with open(path, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)


def draw_front(
    path: str | Path,
    choices: Sequence[Choice],
    front: Sequence[Choice],
    budget: Budget,
    others: Mapping[str, Sequence[Choice]] | None = None,
    evaluated: str = 'evaluated',
) -> None:
    """A picture of performance over cost.

    Args:
        path: of the picture.
        choices: everything evaluated, drawn as points.
        front: those that no other one beats, by rising cost.
        budget: drawn as a line, and names the unit.
        others: further fronts by name.
        evaluated: what the points are.
    """
    figure = Figure(figsize=(7, 4.5), layout='constrained')
    axes = figure.add_subplot()
    axes.scatter([c.cost for c in choices], [c.score for c in choices], s=12, color='0.7', label=evaluated)
    axes.plot([c.cost for c in front], [c.score for c in front], 'o-', markersize=4, label='front')
    for name, some in (others or {}).items():
        axes.plot([c.cost for c in some], [c.score for c in some], 's--', markersize=4, label=name)
    axes.axvline(budget.value, color='0.5', linestyle=':', label=f'budget {budget}')
    axes.set_xlabel(budget.unit)
    axes.set_ylabel('performance relative to the reference, %')
    axes.legend()
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def reference_point(full_cost: float, unit: str) -> dict:
    """The point that a hypervolume is measured from, as plain values."""
    return {unit: full_cost, 'performance': LOST}
