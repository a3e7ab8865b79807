"""The clock of the benchmarks."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], args: argparse.Namespace) -> float:
    """How long ``work`` takes by ``args.clock`` (``wall`` or ``cpu``) on ``args.device``."""
    clock = time.process_time if args.clock == 'cpu' else time.perf_counter
    synchronize = torch.cuda.synchronize if args.device.startswith('cuda') else (lambda: None)
    synchronize()
    start = clock()
    work()
    synchronize()
    return clock() - start
