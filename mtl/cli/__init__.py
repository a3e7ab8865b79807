"""The command ``mtl``: one module here is one subcommand, and one script in ``tools/`` runs the same code.

What several of them need is in ``shared/``.

A module's first line says what it does; its ``main()`` reads ``sys.argv``. A new subcommand is one new file.
"""

from __future__ import annotations

import ast
import sys
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from mtl.cli.shared.running import run_tool

FIRST = ('train', 'test', 'predict', 'demo', 'search', 'materialize', 'export', 'prepare')  # in the list of commands


def commands() -> dict[str, str]:
    """``{name: what it does}``, the most used ones first. Nothing is imported for it."""
    found = {path.stem.replace('_', '-'): path for path in Path(__file__).parent.glob('*.py') if path.stem[0] != '_'}
    order = [*FIRST, *sorted(set(found) - set(FIRST))]
    return {name: ast.get_docstring(ast.parse(found[name].read_text())).splitlines()[0] for name in order}


def run(name: str) -> None:
    """Run a subcommand on ``sys.argv``, and end the process as :func:`mtl.cli.shared.running.run_tool` says.

    Args:
        name: of its module.
    """
    run_tool(lambda: import_module(f'mtl.cli.{name}').main())


def main() -> None:
    """The console command: ``mtl <subcommand> ...``."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    known = commands()
    if name in ('-h', '--help'):
        with suppress(BrokenPipeError):  # the reader of the output has gone, e.g. `| head`
            print(_help(known), flush=True)
    elif name in ('-V', '--version'):
        from mtl import __version__

        print(f'mtl {__version__}')
    elif name in known:
        sys.argv[:2] = [f'mtl {name}']
        run(name.replace('-', '_'))
    else:
        close = get_close_matches(name, known, 1)
        hint = f' Did you mean `mtl {close[0]}`?' if close else ''
        print(f'error: mtl has no subcommand {name!r}.{hint} `mtl --help` lists them.', file=sys.stderr)
        sys.exit(2)


def _help(known: dict[str, str]) -> str:
    width = max(map(len, known))
    lines = [f'  {name:{width}}  {does}' for name, does in known.items()]
    return '\n'.join(
        [
            'usage: mtl SUBCOMMAND ...',
            '',
            'One network, many dense maps, under a budget.',
            '',
            *lines,
            '',
            '`mtl SUBCOMMAND --help` says more. Configs that come with the package go by their names:',
            '`mtl train quickstart`.',
        ]
    )
