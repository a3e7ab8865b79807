"""Optimizers: which parameters they get, and which steps they make."""

from mtl.engine.optim.constructor import MultiTaskOptimWrapperConstructor
from mtl.engine.optim.wrappers import AmpOptimWrapper, OptimWrapper

__all__ = ['AmpOptimWrapper', 'MultiTaskOptimWrapperConstructor', 'OptimWrapper']
