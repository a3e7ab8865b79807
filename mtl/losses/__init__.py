"""Per-pixel losses, named by the tasks; distillation of features; the weighting of tasks against each other."""

from mtl.losses.feature_distillation import feature_distance, teacher_of
from mtl.losses.pixel import balanced_binary_cross_entropy, cross_entropy, masked_l1, normals_l1, unit_vectors
from mtl.losses.reduction import mean_over_processes, sum_over_processes
from mtl.losses.weighting import FixedWeighting, LossWeighting, UncertaintyWeighting

__all__ = [
    'FixedWeighting',
    'LossWeighting',
    'UncertaintyWeighting',
    'balanced_binary_cross_entropy',
    'cross_entropy',
    'feature_distance',
    'masked_l1',
    'mean_over_processes',
    'normals_l1',
    'sum_over_processes',
    'teacher_of',
    'unit_vectors',
]
