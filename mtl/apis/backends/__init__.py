"""What a network runs on when it is used. One module here is one backend, with a class ``Backend``.

A new backend is one new file: its name is then a value of ``MultiTaskInferencer(backend=)`` and of ``--backend``. What
it needs beyond PyTorch is imported where it is used.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from mtl.apis.backends.base import BaseBackend
from mtl.apis.inputs import InputError

# by their names, with nothing imported for it
BACKENDS = tuple(
    sorted(path.stem for path in Path(__file__).parent.glob('*.py') if path.stem not in ('__init__', 'base'))
)


def backend_named(name: str) -> type[BaseBackend]:
    """The class of a backend.

    Args:
        name: one of :data:`BACKENDS`.

    Raises:
        InputError: another name.
    """
    if name not in BACKENDS:
        raise InputError(f'A backend is one of {", ".join(BACKENDS)}; found {name!r}.')
    return import_module(f'{__name__}.{name}').Backend
