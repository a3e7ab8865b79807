"""Find the width that serves given preferences best within a budget.

    python tools/search_width.py CONFIG CHECKPOINT --budget GMACs=0.8 --preference semseg=3 normals=1 --out search
    python tools/search_width.py CONFIG CHECKPOINT --budget params=2.5M --out search
    python tools/search_width.py CONFIG CHECKPOINT --budget ms=40 --latency latency.json --out search

A budget is GFLOPs (10^9 floating point operations, two a multiply-accumulate), GMACs (10^9 multiply-accumulates, what
papers often call FLOPs), params, or ms, with a table of tools/analysis/measure_latency.py. Tasks without a preference
have 1. Writes width.json, the front as front.csv, front.json and front.png, and every evaluation as it is made: after
Ctrl-C the same command goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.report import draw_front, records, reference_point, table_of, write_csv, write_json
from mtl.cli.shared.running import UsageError
from mtl.cli.shared.setup import Setup, preferences
from mtl.progress import report_progress
from mtl.search.budget import Budget, Costs, in_unit
from mtl.search.evolution import BudgetError
from mtl.search.width_search import covered, front_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run, of a network with several widths (model.slimming)')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('--budget', required=True, metavar='UNIT=VALUE', help='GFLOPs=, GMACs=, params= or ms=')
    parser.add_argument('--preference', nargs='+', default=[], metavar='TASK=VALUE', help='importance, 1 by default')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for what is found')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='run these tasks only')
    parser.add_argument('--evaluations', type=int, default=100, help='widths to evaluate (default: %(default)s)')
    parser.add_argument('--images', type=int, default=24, help='validation images for each (default: %(default)s)')
    parser.add_argument('--shape', type=int, nargs=2, metavar=('H', 'W'), help='image size that costs are for')
    parser.add_argument('--latency', metavar='FILE', help='latency table of this device')
    parser.add_argument('--merged', action='store_true', help='costs with the adapters folded into plain layers')
    parser.add_argument('--reference', metavar='FILE', help='baseline file to compare with instead of the full width')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    try:
        budget = Budget.parse(args.budget)
    except ValueError as error:
        raise UsageError(str(error)) from error
    setup = Setup.load(args)
    preference = preferences(args.preference, setup.tasks)
    costs = setup.costs(budget.unit)
    try:
        run(args, budget, setup, preference, costs)
    except KeyboardInterrupt:
        kept = len(setup.cache.known)
        print(f'\nInterrupted. {kept} evaluations are in {setup.cache.path}; the same command goes on from there.')
        sys.exit(130)


def run(args: argparse.Namespace, budget: Budget, setup: Setup, preference: dict[str, float], costs: Costs) -> None:
    """Search and write what was found."""
    widths = setup.search(preference, costs, setup.reference(args.reference))
    try:
        search = widths.within(budget.value, args.evaluations, args.seed)
    except BudgetError as error:
        raise UsageError(
            f'No width keeps {budget}: the smallest possible costs {in_unit(error.least, budget.unit)}.'
        ) from error
    for _ in report_progress(search, len(search), f'Evaluating widths of at most {budget}'):
        pass

    choices = widths.choices(search)
    front, best, full_cost = front_of(choices), choices[0], costs.of(setup.full)
    share = covered(choices, full_cost)
    best.width.save(args.out / 'width.json')
    rows = records(front, setup.table, budget.unit)
    write_csv(args.out / 'front.csv', rows)
    write_json(
        args.out / 'front.json',
        {
            'budget': {budget.unit: budget.value},
            'preference': preference,
            'seed': args.seed,
            'evaluations': len(search.scores),
            'exhaustive': search.exhaustive,
            'images': len(setup.calibration),
            'reference': {'name': widths.reference.name, 'source': widths.reference.source},
            'hypervolume': share,
            'reference point': reference_point(full_cost, budget.unit),
            'best': records([best], setup.table, budget.unit)[0],
            'front': rows,
        },
    )
    draw_front(args.out / 'front.png', choices, front, budget)

    print(table_of(choices[:10], widths.reference, budget.unit, f'The best of {len(choices)} widths within {budget}'))
    how = 'all that keep the budget' if search.exhaustive else f'of {len(widths.candidates):,} in the space'
    print(f'{len(choices)} widths evaluated on {len(setup.calibration)} images, {how}.')
    print(
        f'Hypervolume {share:.4f}: share of what lies between the reference point (full width, '
        f'{in_unit(full_cost, budget.unit)}; performance -100 %) and its performance at no cost.'
    )
    print(f'Performance is relative to: {widths.reference.name} ({widths.reference.source}), weighed by preference.')
    print(f'The best: {best.width}. Wrote {args.out / "width.json"} and front.csv, front.json, front.png beside it.')
