"""TaskExpert: experts, gates, memory, and the decoder that joins them."""

from mtl.models.decoders.task_expert.decoder import TaskExpertDecoder

__all__ = ['TaskExpertDecoder']
