"""How a run goes: hooks, optimizer groups, logging, checkpoints, what the tools share. MMEngine's Runner runs it."""

from mtl.engine.checkpoints import (
    UntrustedCheckpointError,
    load_weights_only,
    newest_readable,
    read_checkpoint,
    set_checkpoint_loading,
    write_atomically,
)
from mtl.engine.distributed import MultiTaskDistributedDataParallel
from mtl.engine.hooks import AtomicCheckpointHook, PanelHook, SeedHook
from mtl.engine.log_processor import MultiTaskLogProcessor
from mtl.engine.loops import WidthValLoop
from mtl.engine.optim import MultiTaskOptimWrapperConstructor

__all__ = [
    'AtomicCheckpointHook',
    'MultiTaskDistributedDataParallel',
    'MultiTaskLogProcessor',
    'MultiTaskOptimWrapperConstructor',
    'PanelHook',
    'SeedHook',
    'UntrustedCheckpointError',
    'WidthValLoop',
    'load_weights_only',
    'newest_readable',
    'read_checkpoint',
    'set_checkpoint_loading',
    'write_atomically',
]
