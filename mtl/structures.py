"""The two structures that travel through the whole data flow: an annotated sample, and a geometric move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mmengine.structures import BaseDataElement


class MultiTaskDataSample(BaseDataElement):
    """Labels and predictions of one image.

    Data fields are ``gt_<task>`` and ``pred_<task>`` tensors in the shapes their :class:`mtl.tasks.Task` states. A
    label that the image does not have is absent: there is no placeholder value.

    Meta fields: ``sample_id``, ``img_path``, ``ori_shape`` (height, width of the file), ``img_shape`` (height, width
    that entered the network, before padding), ``dataset`` (name of the data set).
    """

    def has_label(self, task: str) -> bool:
        """Whether the image is labelled for ``task``."""
        return f'gt_{task}' in self

    def label(self, task: str):
        """The label of ``task``; raises ``AttributeError`` when absent."""
        return getattr(self, f'gt_{task}')

    def prediction(self, task: str):
        """The prediction of ``task``; raises ``AttributeError`` when absent."""
        return getattr(self, f'pred_{task}')


@dataclass(frozen=True)
class Affine:
    """One geometric move of an image plane, applied alike to the image and to each of its labels.

    Flip, resize, rotation, zoom and crop are all of this form, so tasks have a single rule for how a move changes
    their target.

    Args:
        matrix: ``[2, 3]`` map from source to destination pixel coordinates (pixel centres at integers, y down).
        size: destination ``(height, width)``.
        zoom: how much nearer the scene appears to the camera. A zoom of 1.5 shows everything 1.5 times larger in a
            frame that stands for the same camera, so depth is divided by 1.5. Resampling the whole frame to another
            resolution is not a zoom: its value is 1.
    """

    matrix: np.ndarray
    size: tuple[int, int]
    zoom: float = 1.0

    @property
    def rotation(self) -> np.ndarray:
        """``[2, 2]`` orthogonal part of the matrix (rotation, perhaps with reflection): what turns directions.

        The polar factor ``U V^T`` of the linear part, so that an anisotropic resize turns nothing.
        """
        u, _, vt = np.linalg.svd(np.asarray(self.matrix, dtype=np.float64)[:, :2])
        return u @ vt
