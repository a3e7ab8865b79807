"""How a run goes: hooks, optimizer groups, logging. MMEngine's Runner runs it."""

from mtl.engine.distributed import MultiTaskDistributedDataParallel
from mtl.engine.hooks import AtomicCheckpointHook, PanelHook, SeedHook
from mtl.engine.log_processor import MultiTaskLogProcessor
from mtl.engine.loops import WidthValLoop
from mtl.engine.optim import MultiTaskOptimWrapperConstructor
from mtl.engine.sandwich import Sandwich
from mtl.engine.starting_weights import FromCheckpoint

__all__ = [
    'AtomicCheckpointHook',
    'FromCheckpoint',
    'MultiTaskDistributedDataParallel',
    'MultiTaskLogProcessor',
    'MultiTaskOptimWrapperConstructor',
    'PanelHook',
    'Sandwich',
    'SeedHook',
    'WidthValLoop',
]
