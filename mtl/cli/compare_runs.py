"""Print a table of runs: metrics, delta_m, trained parameters by group, multiplications, time.

    python tools/analysis/compare_runs.py work_dirs/mtlora_swin_pascal work_dirs/full_finetune_swin_pascal

Metrics are those of each run's last evaluation; parameters in millions, by the dumped config; GMACs of one image.
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.runs import Run, read_run

GROUPS = ('adapters', 'other trainable', 'decoders', 'heads', 'trainable', 'total')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('runs', nargs='+', metavar='DIR', help='work dir of a run')
    parser.add_argument('--trust', action='store_true', help='import the modules that a config asks for, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    runs = [read_run(folder) for folder in args.runs]
    console = Console()
    # a table that is piped somewhere is not cut to the width of a terminal
    console.print(table(runs)) if console.is_terminal else Console(width=250).print(table(runs))


def table(runs: list[Run]) -> Table:
    """One row per run; a metric that a run lacks stays empty."""
    metrics = list(dict.fromkeys(key for run in runs for key in run.metrics))
    if 'delta_m' in metrics:
        metrics.append(metrics.pop(metrics.index('delta_m')))
    result = Table('run', *metrics, *(f'{group} [M]' for group in GROUPS), 'GMACs', 's / iteration')
    for column in result.columns[1:]:
        column.justify = 'right'
    for run in runs:
        result.add_row(
            run.name,
            *(f'{run.metrics[key]:.2f}' if key in run.metrics else '' for key in metrics),
            *(f'{run.parameters[group] / 1e6:.2f}' for group in GROUPS),
            f'{run.macs / 1e9:.2f}',
            '' if run.seconds is None else f'{run.seconds:.2f}',
        )
    return result
