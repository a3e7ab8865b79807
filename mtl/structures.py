"""What travels through the data flow: an annotated sample, a geometric move, a pyramid of streams."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mmengine.structures import BaseDataElement
from torch import Tensor


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

    def label(self, task: str) -> Tensor:
        """The label of ``task``; raises ``AttributeError`` when absent."""
        return getattr(self, f'gt_{task}')

    def prediction(self, task: str) -> Tensor:
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


SHARED = 'shared'


class BaseLevel:
    """One resolution of the pyramid.

    Attributes:
        features: ``[S, B, C, H, W]``, one entry per stream.
        streams: names of the ``S`` streams: ``'shared'``, then one per task. Where every task has its own and nothing
            follows, the shared stream is left out.
    """

    features: Tensor
    streams: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)``."""
        height, width = self.features.shape[-2:]
        return height, width

    def has_own(self, tasks: tuple[str, ...]) -> bool:
        """Whether any of ``tasks`` has a stream of its own; where none has, all read the shared one."""
        return any(task in self.streams and task != SHARED for task in tasks)

    def of(self, task: str) -> Tensor:
        """The task's own stream ``[B, C, H, W]``, or the shared one where it has none."""
        return self.features[self._index(task)]

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """The streams of ``tasks`` as ``[T, B, C, H, W]``; a view where each has its own in order, or none has."""
        if self.streams[-len(tasks) :] == tasks:
            return self.features[-len(tasks) :]
        indices = [self._index(task) for task in tasks]
        if len(set(indices)) == 1:
            return self.features[indices[:1]].expand(len(tasks), -1, -1, -1, -1)
        return self.features[indices]

    def streams_apart(self) -> tuple[Tensor, ...]:
        """Tensors ``[S, B, ...]`` that hold every stream once and from which :attr:`features` follow."""
        return (self.features,)

    def _index(self, task: str) -> int:
        return self.streams.index(task if task in self.streams else SHARED)


@dataclass(frozen=True)
class Level(BaseLevel):
    """A level of features that are there. Arguments: see :class:`BaseLevel`."""

    features: Tensor
    streams: tuple[str, ...] = (SHARED,)


@dataclass(frozen=True)
class PyramidFeatures:
    """Levels from fine to coarse, with their strides in input pixels."""

    levels: tuple[BaseLevel, ...]
    strides: tuple[int, ...]

    def of(self, task: str) -> list[Tensor]:
        """``[B, C, H, W]`` of every level for ``task``."""
        return [level.of(task) for level in self.levels]
