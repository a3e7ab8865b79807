"""Predictions on disk: ``<folder>/<task>/<sample id>.png`` or ``.npy``.

Written without loss, so that evaluating the files gives the numbers of the run that wrote them, to the last digit:

- class maps (``semseg``, ``human_parts``): PNG, 8 bits, the class id;
- everything else: NPY, float32. ``saliency`` and ``edge`` probabilities ``[H, W]``, ``depth`` metres ``[H, W]``,
  ``normals`` unit vectors ``[3, H, W]``, x right, y down, z towards the camera.

Read, so that other codebases' outputs can be evaluated too: class maps as palette images or NPY; probabilities as
integers of 8 or 16 bits (``v / 255`` or ``v / 65535``; 0 and 1 only, or one bit, are certain); PNG of normals
(``2 v / 255 - 1``, RGB), NPY of normals with the vector last (``[H, W, 3]``). Numbers that cannot be meant are errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtl.errors import FileError
from mtl.files import class_ids, one_channel, probabilities, read_map
from mtl.structures import MultiTaskDataSample
from mtl.tasks import Depth, Saliency, SemanticSegmentation, SurfaceNormals, Task
from mtl.tasks.base import as_numpy
from mtl.writing import write_array, write_picture


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
        if isinstance(task, SemanticSegmentation):
            write_picture(f'{path}.png', values.astype(np.uint8))
        else:
            write_array(f'{path}.npy', values.astype(np.float32))


def read_prediction(folder: str | Path, name: str, task: Task, sample_id: str) -> Tensor | None:
    """The prediction of one sample in the form that metrics take; ``None`` if there is no file.

    Raises:
        ValueError: the file does not hold a map of this task.
    """
    path = next((p for p in (Path(folder, name, f'{sample_id}{end}') for end in ('.png', '.npy')) if p.is_file()), None)
    if path is None:
        return None
    try:
        return torch.from_numpy(_meant(read_map(path), task, path.suffix))
    except (ValueError, OSError) as error:  # Pillow and NumPy raise either for damaged files
        raise FileError(f'The prediction {name} of sample {sample_id}, {path}: {error}.') from error


def _meant(values: np.ndarray, task: Task, suffix: str) -> np.ndarray:
    if isinstance(task, SurfaceNormals):
        return _normals(values, suffix)
    if isinstance(task, SemanticSegmentation):
        return class_ids(values)
    if isinstance(task, Depth) and suffix == '.png':
        raise ValueError('depth is read from NPY (float metres); the scale of a PNG is not known')
    if isinstance(task, Saliency):  # and boundaries
        return probabilities(values)
    values = one_channel(values)
    if values.ndim != 2:
        raise ValueError(f'expected one map [H, W]; found an array of shape {list(values.shape)}')
    return values.astype(np.float32)


def _normals(values: np.ndarray, suffix: str) -> np.ndarray:
    """``[3, H, W]`` float32."""
    if suffix == '.png':
        if values.ndim != 3 or values.shape[2] != 3 or values.dtype != np.uint8:
            raise ValueError(f'expected normals as an RGB image of 8 bits; found shape {list(values.shape)}')
        values = values.astype(np.float32) * np.float32(2 / 255) - 1
    if values.ndim == 3 and values.shape[0] != 3 and values.shape[2] == 3:
        values = values.transpose(2, 0, 1)
    if values.ndim != 3 or values.shape[0] != 3:
        raise ValueError(f'expected normals [3, H, W] or [H, W, 3]; found an array of shape {list(values.shape)}')
    return np.ascontiguousarray(values, np.float32)
