"""The low-rank family: layers, placement, merging."""

from mtl.models.adapters.bottleneck import Bottleneck, BottleneckLinear
from mtl.models.adapters.folding import TaskLinear, TaskWeights, fold_adapters, fold_model
from mtl.models.adapters.injection import MTLoRA
from mtl.models.adapters.merging import MergeError, MergeReport, merge_adapters, unmerge_adapters
from mtl.models.adapters.mtlora import LowRankUpdate, MTLoRALinear
from mtl.models.adapters.stream_layer import StreamLayer

__all__ = [
    'Bottleneck',
    'BottleneckLinear',
    'LowRankUpdate',
    'MTLoRA',
    'MTLoRALinear',
    'MergeError',
    'MergeReport',
    'StreamLayer',
    'TaskLinear',
    'TaskWeights',
    'fold_adapters',
    'fold_model',
    'merge_adapters',
    'unmerge_adapters',
]
