"""Tables and curves of what runs have logged.

    python tools/analysis/analyze_logs.py work_dirs/quickstart
    python tools/analysis/analyze_logs.py work_dirs/quickstart --plot curves.png --keys 'loss/*' 'metric/*/mIoU'
    python tools/analysis/analyze_logs.py work_dirs/a work_dirs/b --keys 'metric/semseg/*'
    python tools/analysis/analyze_logs.py 'ours=work_dirs/a/seed_*' 'theirs=work_dirs/b/seed_*' --plot curves.png

A run is given by its work dir (starts after an interruption are joined), or by a scalars.json in it. The table has
each number's last and extreme values; times are of a training iteration. Several runs are drawn into one picture. Runs
that differ by their seed are one curve under NAME=PATTERN: their mean, shaded from the least to the most.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mtl.cli.shared.logs import Log, read_log
from mtl.cli.shared.running import UsageError

DEFAULT = ('loss', 'loss/*', 'metric/*', 'width/*')
SKIPPED = ('time', 'data_time')  # summed up in a line of their own


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('logs', nargs='+', metavar='LOG', help='work dir, scalars.json, or NAME=PATTERN of several')
    parser.add_argument(
        '--keys', nargs='+', default=DEFAULT, metavar='PATTERN', help=f"(default: {' '.join(DEFAULT)}; '*' for all)"
    )
    parser.add_argument('--plot', metavar='FILE', type=Path, help='draw the curves, a picture in PNG, SVG or PDF')
    parser.add_argument('--smooth', type=int, default=1, help='draw losses as running means of so many (default: 1)')
    args = parser.parse_args()
    if args.smooth < 1:
        parser.error(f'--smooth is at least 1; found {args.smooth}.')
    return args


def main() -> None:
    args = parse_args()
    try:
        groups = [read_group(text) for text in args.logs]
    except (FileNotFoundError, ValueError) as error:
        raise UsageError(str(error)) from error
    logs = [log for group in groups for log in group.logs]
    keys = list(dict.fromkeys(key for log in logs for key in log.matching(args.keys) if key not in SKIPPED))
    if not keys:
        known = ', '.join(dict.fromkeys(key for log in logs for key in log.matching(['*'])))
        raise UsageError(f'Nothing logged matches {", ".join(args.keys)}. There is: {known}')
    console = Console()
    console = console if console.is_terminal else Console(width=200)
    for log in logs:
        console.print(table(log, keys))
        print(time_line(log))
    if args.plot:
        plot(groups, keys, args.plot, args.smooth)
        print(f'Wrote {args.plot}.')


@dataclass(frozen=True)
class Group:
    """Runs that make one curve.

    Args:
        name: in the legend.
        logs: of the runs.
    """

    name: str
    logs: list[Log]

    def curves(self, key: str, smooth: int) -> tuple[list[int], np.ndarray]:
        """Steps that all its runs have logged, and the running means of their values ``[runs, steps]``.

        Evaluations, which are few, stay as they are.
        """
        values = [log.values(key) for log in self.logs]
        steps = sorted(set(values[0]).intersection(*values[1:]))
        evaluated = any(key in log.evaluations for log in self.logs)
        width = 1 if evaluated else max(1, min(smooth, len(steps)))
        mean = np.ones(width) / width
        curves = [np.convolve([some[step] for step in steps], mean, 'valid') for some in values if steps]
        return steps[width - 1 :], np.array(curves)


def read_group(text: str) -> Group:
    """One run, or those of ``NAME=PATTERN``.

    Raises:
        FileNotFoundError: there is no log, or nothing matches the pattern.
        ValueError: a line that is not JSON.
    """
    name, is_group, pattern = text.partition('=')
    if not is_group or Path(text).exists():
        log = read_log(text)
        return Group(log.name, [log])
    paths = sorted(path for path in glob(pattern) if Path(path).is_dir() or path.endswith('.json'))
    if not paths:
        raise FileNotFoundError(f'{text}: no folder matches {pattern!r}.')
    return Group(name, [read_log(path) for path in paths])


def table(log: Log, keys: list[str]) -> Table:
    """A row a key that the run has logged."""
    result = Table('key', 'values', 'first', 'last', 'smallest (at)', 'largest (at)', title=log.name)
    for column in result.columns[1:]:
        column.justify = 'right'
    for key in keys:
        values = log.values(key)
        if values:
            low, high = min(values, key=values.get), max(values, key=values.get)
            numbers = list(values.values())
            result.add_row(
                key,
                str(len(numbers)),
                f'{numbers[0]:.4g}',
                f'{numbers[-1]:.4g}',
                f'{values[low]:.4g} ({low})',
                f'{values[high]:.4g} ({high})',
            )
    return result


def time_line(log: Log) -> str:
    """Seconds an iteration, over the logged lines."""
    times = np.array(list(log.values('time').values()))
    if not times.size:
        return f'{log.name}: no time was logged.'
    loading = np.array(list(log.values('data_time').values()) or [0.0])
    return (
        f'{log.name}: {np.median(times):.3f} s an iteration (median of {times.size} lines; p90 '
        f'{np.percentile(times, 90):.3f} s), of which {loading.mean():.3f} s wait for data; '
        f'{max(log.values("time"))} iterations logged.'
    )


def plot(groups: list[Group], keys: list[str], path: Path, smooth: int) -> None:
    """One small picture a key; runs share it."""
    import matplotlib

    matplotlib.use('Agg')  # no display is needed
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.5 * columns, 3 * rows), squeeze=False)
    for axis, key in zip(axes.flat, keys, strict=False):
        for group in groups:
            steps, curves = group.curves(key, smooth)
            if steps:
                (line,) = axis.plot(steps, curves.mean(0), marker='.', label=group.name)
                axis.fill_between(steps, curves.min(0), curves.max(0), color=line.get_color(), alpha=0.2, linewidth=0)
            else:
                axis.plot([], label=group.name)  # the same colour in every picture
        axis.set_title(key, fontsize=9)
        evaluated = any(key in log.evaluations for group in groups for log in group.logs)
        axis.set_xlabel('evaluation (epoch)' if evaluated else 'iteration', fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
    for axis in list(axes.flat)[len(keys) :]:
        axis.set_axis_off()
    if len(groups) > 1:
        axes.flat[0].legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, dpi=120)
    except ValueError as error:
        raise UsageError(f'{path} cannot be written: {error}.') from error
    finally:
        pyplot.close(figure)
