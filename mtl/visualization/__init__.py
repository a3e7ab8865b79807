"""Drawing: panels of an image with its labels and predictions, legends, gates. Each task draws its own map."""

from mtl.visualization.gates import draw_gates, gate_maps
from mtl.visualization.legend import draw_legend
from mtl.visualization.panel import draw_panel
from mtl.visualization.predictions import draw_labels, draw_predictions
from mtl.visualization.tensorboard import MultiTaskTensorboardBackend
from mtl.visualization.visualizer import MultiTaskVisualizer

__all__ = [
    'MultiTaskTensorboardBackend',
    'MultiTaskVisualizer',
    'draw_gates',
    'draw_labels',
    'draw_legend',
    'draw_panel',
    'draw_predictions',
    'gate_maps',
]
