"""How far a long loop is: a bar on a terminal, or a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from mmengine.logging import print_log
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


def report_progress(steps: Iterable, total: int, title: str) -> Iterator:
    """Pass ``steps`` through while showing how many are done and the time that remains."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _report_in_lines(steps, total, title)
        return
    counts = BarColumn(), MofNCompleteColumn()
    times = TimeElapsedColumn(), TextColumn('left'), TimeRemainingColumn()
    with Progress(TextColumn('{task.description}'), *counts, *times, console=console) as progress:
        yield from progress.track(steps, total=total, description=title)


def _report_in_lines(steps: Iterable, total: int, title: str) -> Iterator:
    start = last = time.monotonic()
    for done, step in enumerate(steps, 1):
        yield step
        now = time.monotonic()
        if done == total or now - last > _SECONDS_BETWEEN_LINES:
            last = now
            left = (now - start) / done * (total - done)
            print_log(f'{title}: {done} of {total}, {now - start:.0f} s so far, {left:.0f} s left', 'current')
