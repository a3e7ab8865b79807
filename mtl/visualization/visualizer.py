"""MMEngine's visualizer for samples of several tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from mmengine.dist import is_main_process
from mmengine.visualization import LocalVisBackend, Visualizer

from mtl.registry import VISUALIZERS
from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task
from mtl.visualization.panel import draw_panel
from mtl.writing import write_picture


@VISUALIZERS.register_module()
class MultiTaskVisualizer(Visualizer):
    """Scalars as in MMEngine; samples as panels (:func:`draw_panel`)."""

    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: MultiTaskDataSample,
        tasks: Mapping[str, Task],
        out_file: str | Path | None = None,
        show: bool = False,
        wait_time: float = 0.0,
        step: int = 0,
    ) -> None:
        """Draw a sample's panel and send it to where it is wanted.

        Args:
            name: tag in TensorBoard and other backends.
            image: ``[H, W, 3]`` uint8 RGB.
            data_sample: labels and predictions.
            tasks: the columns of the panel.
            out_file: PNG to write. It is the local copy, so that ``LocalVisBackend`` does not write another one.
            show: open a window.
            wait_time: seconds the window stays; 0 until a key is pressed.
            step: value of the step axis.
        """
        panel = draw_panel(image, data_sample, tasks)
        if out_file is not None:
            Path(out_file).parent.mkdir(parents=True, exist_ok=True)
            write_picture(out_file, cv2.cvtColor(panel, cv2.COLOR_RGB2BGR))
        if show:
            self.show(panel, win_name=name, wait_time=wait_time)
        self.add_picture(name, panel, step)

    def add_picture(self, name: str, picture: np.ndarray, step: int = 0) -> None:
        """Send a picture to TensorBoard and the like, but not to the folder of PNG files.

        Args:
            name: tag.
            picture: ``[H, W, 3]`` uint8 RGB.
            step: value of the step axis.
        """
        for backend in self._vis_backends.values() if is_main_process() else ():
            if not isinstance(backend, LocalVisBackend):
                backend.add_image(name, picture, step)
