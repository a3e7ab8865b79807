"""Whether files that somebody else may have made are trusted to run code: decided once, by ``--trust``."""

from __future__ import annotations

_trusted = False


def trust_files(trust: bool) -> None:
    """Trust checkpoints and the configs inside them from now on, or not."""
    global _trusted
    _trusted = trust


def files_are_trusted() -> bool:
    """What :func:`trust_files` last said; not, at first."""
    return _trusted
