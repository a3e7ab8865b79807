"""Checkpoint files: reading, writing, publishing and converting them. What comes from a file is data, never code."""

from mtl.checkpoints.io import (
    UntrustedCheckpointError,
    load_weights_only,
    newest_readable,
    read_checkpoint,
    set_checkpoint_loading,
)

__all__ = [
    'UntrustedCheckpointError',
    'load_weights_only',
    'newest_readable',
    'read_checkpoint',
    'set_checkpoint_loading',
]
