"""The low-rank family: layers, placement, accounting."""

from mtl.models.adapters.injection import MTLoRA, adapter_layers, adapter_parameters
from mtl.models.adapters.low_rank import LowRankUpdate, MTLoRALinear

__all__ = ['LowRankUpdate', 'MTLoRA', 'MTLoRALinear', 'adapter_layers', 'adapter_parameters']
