"""Naming the width of a network: what a person types, or passes, becomes a :class:`WidthConfig`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import RLock
from weakref import WeakKeyDictionary

from torch import nn

from mtl.apis.inputs import InputError
from mtl.models.slimmable import WidthConfig

Width = float | str | Mapping | WidthConfig


def resolved_width(model: nn.Module, width: Width | None) -> WidthConfig | None:
    """The width, one of those that ``model`` was trained for; ``None`` for no particular one.

    Args:
        model: network.
        width: one ratio for all parts (a number, or a string of one), ``'full'``, ``'small'``, a JSON file, the config
            form, or a width.

    Raises:
        InputError: the network has one width only, or this is none of its widths.
    """
    if width is None:
        return None
    try:
        ratio = None if isinstance(width, (Mapping, WidthConfig)) else float(width)
    except ValueError:
        ratio = None
    try:
        if ratio is not None:
            width = WidthConfig.uniform(ratio, model.space.stages, model.space.tasks)
        return model.space.named(width)
    except ValueError as error:
        raise InputError(str(error)) from error


_locks: WeakKeyDictionary[nn.Module, RLock] = WeakKeyDictionary()
_locks_lock = RLock()


@contextmanager
def running_at(model: nn.Module, width: WidthConfig | None) -> Iterator[None]:
    """The network runs at ``width`` inside the ``with``, with all its parameters for ``None``.

    A width is a state of the network, so one thread at a time is inside; others wait.
    """
    with _locks_lock:
        lock = _locks.setdefault(model, RLock())
    with lock, nullcontext() if width is None else model.at_width(width):
        yield
