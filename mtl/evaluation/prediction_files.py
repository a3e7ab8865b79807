"""Predictions on disk: ``<folder>/<task>/<sample id>.png`` or ``.npy``.

Written without loss, so that evaluating the files gives the numbers of the run that wrote them, to the last digit:

- class maps (``semseg``, ``human_parts``): PNG, 8 bits, the class id;
- everything else: NPY, float32. ``saliency`` and ``edge`` probabilities ``[H, W]``, ``depth`` metres ``[H, W]``,
  ``normals`` unit vectors ``[3, H, W]``, x right, y down, z towards the camera.

Read, so that other codebases' outputs can be evaluated too: PNG of probabilities (8 or 16 bits, ``v / 255`` or
``v / 65535``), PNG of normals (``2 v / 255 - 1``, RGB), NPY of normals with the vector last (``[H, W, 3]``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from mtl.structures import MultiTaskDataSample
from mtl.tasks import Depth, SemanticSegmentation, SurfaceNormals, Task
from mtl.tasks.base import as_numpy


def write_predictions(sample: MultiTaskDataSample, folder: str | Path, tasks: Mapping[str, Task]) -> None:
    """Write all predictions that ``sample`` has.

    Args:
        sample: with ``sample_id`` and ``pred_<task>``.
        folder: made where missing.
        tasks: ``{name: task}``.
    """
    for name, task in tasks.items():
        if f'pred_{name}' not in sample:
            continue
        values = as_numpy(sample.prediction(name))
        path = Path(folder, name, sample.sample_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(task, SemanticSegmentation):
            cv2.imwrite(f'{path}.png', values.astype(np.uint8))
        else:
            np.save(f'{path}.npy', values.astype(np.float32))


def read_prediction(folder: str | Path, name: str, task: Task, sample_id: str) -> Tensor | None:
    """The prediction of one sample in the form that metrics take; ``None`` if there is no file.

    Raises:
        ValueError: the file does not hold a map of this task.
    """
    path = next((p for p in (Path(folder, name, f'{sample_id}{end}') for end in ('.png', '.npy')) if p.is_file()), None)
    if path is None:
        return None
    values = np.load(path) if path.suffix == '.npy' else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError(f'{path} cannot be read as an image.')
    if isinstance(task, SurfaceNormals):
        return torch.from_numpy(_normals(values, path))
    if path.suffix == '.npy' and values.ndim == 3 and 1 in (values.shape[0], values.shape[2]):
        values = values.squeeze(0 if values.shape[0] == 1 else 2)
    if values.ndim != 2:
        raise ValueError(f'{path}: expected one map [H, W] for task {name!r}; found an array of shape {values.shape}.')
    if isinstance(task, SemanticSegmentation):
        return torch.from_numpy(values.astype(np.uint8))
    if path.suffix == '.png':
        if isinstance(task, Depth):
            raise ValueError(f'{path}: depth is read from NPY (float metres); the scale of a PNG is not known.')
        values = values / np.float32(np.iinfo(values.dtype).max)
    return torch.from_numpy(values.astype(np.float32))


def _normals(values: np.ndarray, path: Path) -> np.ndarray:
    """``[3, H, W]`` float32."""
    if path.suffix == '.png':
        if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8:
            raise ValueError(f'{path}: expected normals as an RGB image of 8 bits; found shape {values.shape}.')
        values = values[..., ::-1].astype(np.float32) * np.float32(2 / 255) - 1
    if values.ndim == 3 and values.shape[0] != 3 and values.shape[2] == 3:
        values = values.transpose(2, 0, 1)
    if values.ndim != 3 or values.shape[0] != 3:
        raise ValueError(f'{path}: expected normals [3, H, W] or [H, W, 3]; found an array of shape {values.shape}.')
    return np.ascontiguousarray(values, np.float32)
