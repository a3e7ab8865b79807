"""Drawing: a panel of an image with each task's label and prediction."""

from mtl.visualization.panel import draw_panel
from mtl.visualization.visualizer import MultiTaskVisualizer

__all__ = ['MultiTaskVisualizer', 'draw_panel']
