"""How far one checkpoint can be controlled: results over budgets, and over preferences at one budget.

    python tools/analysis/controllability.py CONFIG CHECKPOINT --budget GMACs=0.6 --out control

Searches a width for several budgets (all tasks alike), then one for each of several preferences at `--budget`. A search
takes what earlier ones evaluated for nothing. What they choose is measured on validation images that no search saw.
Reports performance by budget, the hypervolume against that of uniform widths, and for each task the rank correlation of
preference and performance and the performance that preference buys. Writes control.json and control.png; after Ctrl-C
the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import DictAction
from rich import box
from rich.table import Table

from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.report import as_text, draw_front, reference_point, write_json
from mtl.cli.shared.running import UsageError
from mtl.cli.shared.setup import Setup
from mtl.evaluation import Baseline
from mtl.models.slimmable import WidthConfig
from mtl.progress import report_progress
from mtl.search.budget import Budget, Costs, in_unit
from mtl.search.controllability import budgets_between, control, preference_vectors, uniform_widths
from mtl.search.evolution import BudgetError
from mtl.search.objective import relative_performance
from mtl.search.width_search import Choice, WidthSearch, covered


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run, of a network with several widths (model.slimming)')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('--budget', required=True, metavar='UNIT=VALUE', help='at which preferences are varied')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for what is found')
    parser.add_argument('--budgets', type=int, default=6, help='budgets from smallest to full (default: %(default)s)')
    parser.add_argument('--vectors', type=int, default=16, help='preferences to try (default: %(default)s)')
    parser.add_argument('--strength', type=float, default=4.0, help='largest preference (default: %(default)s)')
    parser.add_argument('--evaluations', type=int, default=12, help='of each search (default: %(default)s)')
    parser.add_argument('--images', type=int, default=24, help='images for the searches (default: %(default)s)')
    parser.add_argument('--unseen', type=int, default=1000, help='other images to measure on (default: %(default)s)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='run these tasks only')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'), help='image size that costs are for')
    parser.add_argument('--latency', metavar='FILE', help='latency table of this device')
    parser.add_argument('--merged', action='store_true', help='costs with the adapters folded into plain layers')
    parser.add_argument('--reference', metavar='FILE', help='baseline file to compare with instead of the full width')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if min(args.budgets - 1, args.vectors, args.evaluations, args.images, args.unseen) < 1 or args.strength <= 1:
        parser.error('at least two budgets, numbers above 0, and a strength above 1.')
    return args


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    try:
        budget = Budget.parse(args.budget)
    except ValueError as error:
        raise UsageError(str(error)) from error
    setup = Setup.load(args)
    try:
        run(args, budget, setup, setup.costs(budget.unit))
    except KeyboardInterrupt:
        print(f'\nInterrupted. {len(setup.cache.known)} evaluations are in {setup.cache.path}.')
        sys.exit(130)


@dataclass
class Measured:
    """A width that was chosen, and how it does on images that the search did not see.

    Args:
        why: the budget or the preference.
        width, cost: of it.
        seen: performance on the images of the search, weighed by preference, in percent.
        unseen: mean performance of all tasks on the others.
        gains: of each task, on the others.
        results: the metrics, on the others.
    """

    why: Mapping[str, float]
    width: dict
    cost: float
    seen: float
    unseen: float
    gains: Mapping[str, float]
    results: Mapping[str, float]


def run(args: argparse.Namespace, budget: Budget, setup: Setup, costs: Costs) -> None:
    """Search, measure, report."""
    reference = setup.reference(args.reference)
    alike = dict.fromkeys(setup.tasks, 1.0)
    searches = setup.search(alike, costs, reference)
    measure = measurer(args, setup, reference)
    least, full = costs.of(setup.model.space.small.for_tasks(setup.tasks)), costs.of(setup.full)

    by_budget = []
    for value in budgets_between(least, full, args.budgets):
        best = searched(args, setup, searches, Budget(budget.unit, value))
        by_budget.append(measure({budget.unit: value}, best))
    uniform = [
        measure({'ratio': width.encoder[0]}, searches.choice(width))
        for width in uniform_widths(setup.model.space, setup.tasks)
    ]
    by_preference = []
    for preference in preference_vectors(setup.tasks, args.vectors, args.strength, args.seed):
        best = searched(args, setup, setup.search(preference, costs, reference), budget)
        by_preference.append(measure(preference, best))
    controlled = control([m.why for m in by_preference], [m.gains for m in by_preference])
    shares = {name: covered(points(some), full) for name, some in (('searched', by_budget), ('uniform', uniform))}

    write_json(
        args.out / 'control.json',
        {
            'budget': {budget.unit: budget.value},
            'full': {budget.unit: full},
            'seed': args.seed,
            'evaluations': len(setup.cache.asked),
            'images': len(setup.calibration),
            'unseen images': measure.images,
            'hypervolume': shares,
            'reference point': reference_point(full, budget.unit),
            'control': controlled,
            'budgets': [asdict(m) for m in by_budget],
            'uniform': [asdict(m) for m in uniform],
            'preferences': [asdict(m) for m in by_preference],
        },
    )
    draw_front(
        args.out / 'control.png',
        points(by_preference),
        points(by_budget),
        budget,
        {'uniform widths': points(uniform)},
        evaluated='preferences at the budget',
    )
    print(table_of_widths('By budget, all tasks alike', by_budget, full, budget.unit))
    print(table_of_widths('Uniform widths', uniform, full, budget.unit))
    print(table_of_control(controlled, f'{len(by_preference)} preferences at {budget}'))
    print(
        f'Hypervolume, searched {shares["searched"]:.4f}, uniform {shares["uniform"]:.4f}; reference point: full '
        f'width, {in_unit(full, budget.unit)}, performance -100 %. {len(setup.cache.asked)} widths evaluated on '
        f'{len(setup.calibration)} images; the numbers above are from {measure.images} others. Wrote {args.out}.'
    )


def searched(args: argparse.Namespace, setup: Setup, searches: WidthSearch, budget: Budget) -> Choice:
    """The best width within a budget."""
    try:  # of what is in the file only what this run has asked for, so that a second run repeats the first
        search = searches.within(budget.value, args.evaluations, args.seed, tuple(setup.cache.asked))
    except BudgetError as error:
        raise UsageError(
            f'No width keeps {budget}: the smallest possible costs {in_unit(error.least, budget.unit)}.'
        ) from error
    for _ in report_progress(search, len(search), f'Widths of at most {budget}'):
        pass
    return searches.choices(search)[0]


def measurer(args: argparse.Namespace, setup: Setup, reference: Baseline) -> Callable[..., Measured]:
    """A function that measures choices on images no search saw, each width once."""
    unseen = setup.unseen(args.unseen)
    results: dict[WidthConfig, dict[str, float]] = {}

    def evaluate(width: WidthConfig) -> dict[str, float]:
        if width not in results:
            results[width] = unseen.evaluate(width)
        return results[width]

    if args.reference is None:
        reference = setup.full_width_of(unseen, evaluate)

    def measure(why: Mapping[str, float], choice: Choice) -> Measured:
        found = evaluate(choice.width)
        gains = relative_performance(found, reference)
        mean = sum(gains.values()) / len(gains)
        return Measured(dict(why), choice.width.to_dict(), choice.cost, choice.score, mean, gains, found)

    measure.images = len(unseen)
    return measure


def points(some: Sequence[Measured]) -> list[Choice]:
    """Cost and mean performance on unseen images."""
    return [Choice(WidthConfig.from_dict(m.width), m.cost, m.results, m.gains, m.unseen) for m in some]


def table_of_widths(title: str, some: Sequence[Measured], full: float, unit: str) -> str:
    """A line per width, performance relative to the reference in percent."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left')
    for name in (unit, 'of full', 'encoder', 'mean', *some[0].gains):
        table.add_column(name, justify='right')
    for m in some:
        encoder = ' '.join(f'{ratio:.2g}' for ratio in m.width['encoder'])
        tasks = [f'{gain:+.1f} ({m.width["decoder"][task]:.2g})' for task, gain in m.gains.items()]
        table.add_row(f'{m.cost:.4g}', f'{100 * m.cost / full:.0f} %', encoder, f'{m.unseen:+.2f}', *tasks)
    return as_text(table)


def table_of_control(controlled: Mapping[str, Mapping[str, float]], title: str) -> str:
    """A line per task."""
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify='left')
    for name in ('task', 'rank correlation', 'preference buys', 'worst', 'best'):
        table.add_column(name, justify='left' if name == 'task' else 'right')
    for task, values in controlled.items():
        correlation, *gains = values.values()
        table.add_row(task, f'{correlation:+.2f}', *(f'{gain:+.2f} %' for gain in gains))
    return as_text(table)
