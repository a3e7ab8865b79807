"""How long a step takes and how much memory, measured so that two measurements can be compared."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Measurement:
    """Times and memory of repeated runs.

    Args:
        seconds: of each run, in order.
        memory: bytes: the most that tensors took on a GPU at once; without one, the most that the process took.
    """

    seconds: tuple[float, ...]
    memory: int

    def percentile(self, share: float) -> float:
        """Seconds that ``share`` percent of the runs did not exceed."""
        return float(np.percentile(self.seconds, share))


def measure(step: Callable[[], object], runs: int, warm_up: int, device: torch.device | str = 'cpu') -> Measurement:
    """Run ``step`` ``warm_up`` times unmeasured, then ``runs`` times.

    The first runs allocate memory, choose kernels, fill caches. On a GPU each time lasts until its work is done, not
    until it is queued.
    """
    device = torch.device(device)
    on_gpu = device.type == 'cuda'
    for _ in range(warm_up):
        step()
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        if on_gpu:
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    if on_gpu:
        memory = torch.cuda.max_memory_allocated(device)
    else:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
    return Measurement(tuple(seconds), memory)
