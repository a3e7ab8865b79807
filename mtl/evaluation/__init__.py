"""What a prediction is worth: metrics with additive statistics, the evaluator, baselines."""

from mtl.evaluation.additive import AdditiveMetric
from mtl.evaluation.baseline import Baseline, BaselineResult, delta_m, published
from mtl.evaluation.boundary import BoundaryMetric
from mtl.evaluation.depth import DepthMetric
from mtl.evaluation.evaluator import MultiTaskEvaluator
from mtl.evaluation.normals import NormalsMetric
from mtl.evaluation.saliency import SaliencyMetric
from mtl.evaluation.segmentation import SegmentationMetric

__all__ = [
    'AdditiveMetric',
    'Baseline',
    'BaselineResult',
    'BoundaryMetric',
    'DepthMetric',
    'MultiTaskEvaluator',
    'NormalsMetric',
    'SaliencyMetric',
    'SegmentationMetric',
    'delta_m',
    'published',
]
