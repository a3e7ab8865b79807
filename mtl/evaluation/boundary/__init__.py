"""Boundaries: a quick measure while a network trains, and the published benchmark without Matlab."""

from mtl.evaluation.boundary.metrics import BoundaryMetric, FastBoundaryMetric, FullBoundaryMetric

__all__ = ['BoundaryMetric', 'FastBoundaryMetric', 'FullBoundaryMetric']
