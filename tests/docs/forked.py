"""Run a Python script as from the command line, in a fork of this process: torch need not be imported again."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def run_script(
    words: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str] | None = None, seconds: int = 900
) -> int:
    """Status of ``python words...`` in ``folder``; what it prints goes to ``log``. Killed after ``seconds``: -9."""

    def script() -> None:
        sys.argv = list(words)
        sys.path[:0] = [str(Path(words[0]).parent), *filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))]
        runpy.run_path(words[0], run_name='__main__')

    return run_forked(script, folder, log, environment, seconds)


def run_forked(
    function: Callable[[], None], folder: Path, log: Path, environment: Mapping[str, str] | None, seconds: int
) -> int:
    """Status of ``function`` as if it were a whole program."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _be_a_program(function, folder, log, environment or {})
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _be_a_program(function: Callable[[], None], folder: Path, log: Path, environment: Mapping[str, str]) -> None:
    status = 1
    try:
        os.setsid()  # its data workers die with it
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.stdout, sys.stderr = os.fdopen(1, 'w', buffering=1), os.fdopen(2, 'w', buffering=1)
        os.environ.update(environment)
        os.chdir(folder)
        function()
        status = 0
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
