"""Networks: backbones, adapters, decoders, and the model that joins them."""

from mtl.models.backbones import SwinBackbone, TimmBackbone
from mtl.models.data_preprocessor import MultiTaskDataPreprocessor
from mtl.models.decoders import HRNetDecoder, MMSegDecoder
from mtl.models.distilled_model import DistilledMultiTaskModel
from mtl.models.former_names import SlimmableMultiTaskModel
from mtl.models.multi_task_model import MultiTaskModel
from mtl.models.tta import MultiTaskTTAModel

__all__ = [
    'DistilledMultiTaskModel',
    'HRNetDecoder',
    'MMSegDecoder',
    'MultiTaskDataPreprocessor',
    'MultiTaskModel',
    'MultiTaskTTAModel',
    'SlimmableMultiTaskModel',
    'SwinBackbone',
    'TimmBackbone',
]
