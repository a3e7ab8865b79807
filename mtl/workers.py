"""Worker processes that leave Ctrl-C to their parent and do not outlive it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def depend_on_parent() -> None:
    """Called first in a worker: interrupts are the parent's affair, and when it is killed, the worker ends, too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)
