"""Optimizers: which parameters they get."""

from mtl.engine.optim.constructor import MultiTaskOptimWrapperConstructor

__all__ = ['MultiTaskOptimWrapperConstructor']
