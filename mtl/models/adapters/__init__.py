"""The low-rank family: layers, placement, merging."""

from mtl.models.adapters.bottleneck import Bottleneck, BottleneckLinear
from mtl.models.adapters.injection import MTLoRA, adapter_layers, adapter_parameters
from mtl.models.adapters.low_rank import LowRankUpdate, MTLoRALinear
from mtl.models.adapters.merging import MergeError, MergeReport, merge_adapters, unmerge_adapters
from mtl.models.adapters.plain import TaskLinear, TaskWeights, fold_adapters
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
    'adapter_layers',
    'adapter_parameters',
    'fold_adapters',
    'merge_adapters',
    'unmerge_adapters',
]
