"""Hooks: what happens around the steps of a run."""

from mtl.engine.hooks.average import EMAHook
from mtl.engine.hooks.checkpoint import AtomicCheckpointHook
from mtl.engine.hooks.finite import FiniteHook
from mtl.engine.hooks.gates import GateHook
from mtl.engine.hooks.panels import PanelHook
from mtl.engine.hooks.prediction_writer import PredictionWriterHook
from mtl.engine.hooks.seed import SeedHook

__all__ = ['AtomicCheckpointHook', 'EMAHook', 'FiniteHook', 'GateHook', 'PanelHook', 'PredictionWriterHook', 'SeedHook']
