"""Using a trained network: predictions and pictures of one's own images."""

from mtl.apis.inferencer import MultiTaskInferencer
from mtl.apis.inputs import InputError

__all__ = ['InputError', 'MultiTaskInferencer']
