"""Panels into files: PNG of images, MP4 of videos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from mtl.apis.inputs import InputError, Picture
from mtl.structures import MultiTaskDataSample
from mtl.tasks import Task
from mtl.tasks.base import as_numpy
from mtl.writing import write_picture


def write_maps(
    folder: str | Path, picture: Picture, sample: MultiTaskDataSample, tasks: Mapping[str, Task], opacity: float = 0.6
) -> None:
    """Write what each task draws over the picture, at its size: ``<folder>/<task>/<name>.png``.

    Raises:
        OSError: a file cannot be written.
    """
    for name, task in tasks.items():
        if f'pred_{name}' in sample:
            drawn = task.overlay(picture.image, as_numpy(sample.prediction(name)), opacity)
            path = Path(folder, name, f'{picture.name}.png')
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))


class PanelWriter:
    """Writes panels below a folder; a context manager, because a video is complete only when it is closed.

    Args:
        folder: made where missing; ``None`` for a writer that is never asked to write.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._video: cv2.VideoWriter | None = None
        self._path: Path | None = None
        self._size: tuple[int, int] = (0, 0)

    def __enter__(self) -> PanelWriter:
        return self

    def __exit__(self, *_) -> None:
        self._close()

    def write(self, picture: Picture, panel: np.ndarray) -> Path:
        """Write the panel (RGB uint8 ``[H, W, 3]``) of a picture: as a PNG, or as the next frame of its video.

        Raises:
            OSError: the file cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        bgr = cv2.cvtColor(panel, cv2.COLOR_RGB2BGR)
        if picture.video is None:
            path = self.folder / f'{picture.name}.png'
            write_picture(path, bgr)
            return path
        path = self.folder / f'{picture.name.rsplit("_", 1)[0]}.mp4'
        if path != self._path:
            self._close()
            self._open(path, picture.video[1], bgr.shape)
        height, width = self._size
        frame = np.full((height, width, 3), 255, np.uint8)
        bgr = bgr[:height, :width]  # a legend may be longer than that of the first frame
        frame[: bgr.shape[0], : bgr.shape[1]] = bgr
        self._video.write(frame)
        return path

    def _open(self, path: Path, rate: float, shape: tuple[int, ...]) -> None:
        self._size = tuple(side + side % 2 for side in shape[:2])  # encoders want even sides
        self._path = path
        self._video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, self._size[::-1])
        if not self._video.isOpened():
            raise InputError(f'{path} cannot be written as a video.')

    def _close(self) -> None:
        if self._video is not None:
            self._video.release()
        self._video = self._path = None
