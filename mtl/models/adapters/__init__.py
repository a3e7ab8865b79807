"""The low-rank family: layers, placement, merging."""

from mtl.models.adapters.injection import MTLoRA, adapter_layers, adapter_parameters
from mtl.models.adapters.low_rank import LowRankUpdate, MTLoRALinear
from mtl.models.adapters.merging import MergeError, MergeReport, merge_adapters, unmerge_adapters

__all__ = [
    'LowRankUpdate',
    'MTLoRA',
    'MTLoRALinear',
    'MergeError',
    'MergeReport',
    'adapter_layers',
    'adapter_parameters',
    'merge_adapters',
    'unmerge_adapters',
]
