"""How a tool runs and ends: whatever stops it becomes one sentence."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from mtl.errors import ExplainedError


class UsageError(ExplainedError, ValueError):
    """A wrong input of the person at the keyboard: shown as a sentence, without a traceback."""


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main``. Whatever stops it becomes one sentence; the trace of a surprise is kept in a file.

    Exit status: 2 for what a person can mend (a wrong input, a damaged file, a full disk), 130 after Ctrl-C, 1 for
    anything else. The environment variable ``MTL_TRACE=1`` shows the trace instead.
    """
    try:
        status = main()
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get('MTL_TRACE') == '1':
            raise
        print(f'error: {sentence(error)}', file=sys.stderr)
        if isinstance(error, (ExplainedError, OSError)):
            sys.exit(2)
        print(f'The trace is in {_keep_trace(error)}; MTL_TRACE=1 shows it here.', file=sys.stderr)
        sys.exit(1)
    if status:
        sys.exit(status)


def sentence(error: BaseException) -> str:
    """What an error says, without the trace that a data worker puts before it."""
    text = str(error).strip()
    if text.startswith('Caught ') and '\n' in text:  # of torch, from another process
        last = text.splitlines()[-1]
        kind, _, words = last.partition(': ')
        text = words if words and ' ' not in kind else last
    if isinstance(error, OSError) and error.strerror:
        where = f'{error.filename}: ' if error.filename is not None else ''
        return f'{where}{error.strerror}.'
    if isinstance(error, KeyError) and len(error.args) == 1:
        text = str(error.args[0])
    if isinstance(error, (ExplainedError, OSError)):
        return text or type(error).__name__
    return f'{text} ({type(error).__name__})' if text else type(error).__name__


def _keep_trace(error: BaseException) -> Path:
    with tempfile.NamedTemporaryFile('w', prefix='mtl-trace-', suffix='.txt', delete=False) as file:
        traceback.print_exception(error, file=file)
    return Path(file.name)


def command_line(*extra: str) -> str:
    """The command this process was started with, plus ``extra``, to be typed again."""
    program, *arguments = sys.argv
    words = program.split() if program.startswith('mtl ') else ['python', program]
    return shlex.join([*words, *arguments, *extra])
