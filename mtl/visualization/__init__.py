"""Drawing: panels of an image with its labels and predictions, legends, gates. Each task draws its own map."""

from importlib import import_module
from typing import TYPE_CHECKING

from mtl.visualization.gates import draw_gates, gate_maps
from mtl.visualization.legend import draw_legend
from mtl.visualization.panel import draw_panel
from mtl.visualization.predictions import draw_labels, draw_predictions

if TYPE_CHECKING:
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

# They derive from classes of MMEngine whose import takes seconds: imported when they are asked for.
_LATER = {'MultiTaskTensorboardBackend': 'tensorboard', 'MultiTaskVisualizer': 'visualizer'}


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{_LATER[name]}'), name)
