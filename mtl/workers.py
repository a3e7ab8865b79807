"""Worker processes that leave Ctrl-C to their parent and do not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

import cv2


def depend_on_parent() -> None:
    """Called first in a worker: interrupts are the parent's affair, and when it is killed, the worker ends, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def in_parallel(function: Callable, items: list, jobs: int) -> Iterator:
    """Results of ``function`` over ``items``, in order; ``jobs=1`` stays in this process."""
    if jobs == 1:
        yield from map(function, items)
        return
    with ProcessPoolExecutor(jobs, initializer=_start_worker) as pool:
        try:
            yield from pool.map(function, items)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Depend on the parent, which stops the pool, and leave threads to the number of processes."""
    depend_on_parent()
    cv2.setNumThreads(0)
