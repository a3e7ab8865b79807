"""The low-rank family: layers, placement, merging."""

from mtl.models.adapters.bottleneck import Bottleneck, BottleneckLinear
from mtl.models.adapters.convolution import LowRankConv2d
from mtl.models.adapters.folding import TaskWeights, fold_adapters, fold_model
from mtl.models.adapters.injection import MTLoRA
from mtl.models.adapters.merging import Mergeable, MergeReport, merge_adapters, unmerge_adapters
from mtl.models.adapters.mtlora import LowRankUpdate, MTLoRALinear
from mtl.models.adapters.placement import Placement, inject
from mtl.models.adapters.stream_layer import SeparateStreams, StreamLayer
from mtl.models.adapters.task_linear import TaskLinear
from mtl.models.adapters.updated_linear import UpdatedLinear
from mtl.protocols import MergeError

__all__ = [
    'Bottleneck',
    'BottleneckLinear',
    'LowRankConv2d',
    'LowRankUpdate',
    'MTLoRA',
    'MTLoRALinear',
    'MergeError',
    'MergeReport',
    'Mergeable',
    'Placement',
    'SeparateStreams',
    'StreamLayer',
    'TaskLinear',
    'TaskWeights',
    'UpdatedLinear',
    'fold_adapters',
    'fold_model',
    'inject',
    'merge_adapters',
    'unmerge_adapters',
]
