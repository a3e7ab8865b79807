"""Human parts: one body part a pixel."""

from __future__ import annotations

from mtl.registry import TASKS
from mtl.tasks.semantic_segmentation import SemanticSegmentation


@TASKS.register_module()
class PartSegmentation(SemanticSegmentation):
    """Body parts, background included; an image without a person is unknown as a whole (255 everywhere)."""

    default_loss_weight = 2.0
    default_classes = 'pascal_parts'
