"""Configuration-invariant knowledge distillation: features of any width are pulled towards those of the full one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mtl.structures import PyramidFeatures

Pyramid = Sequence[tuple[Tensor, ...]]


def teacher_of(features: PyramidFeatures) -> Pyramid:
    """What :func:`feature_distance` compares with, without gradient."""
    return [tuple(streams.detach() for streams in level.streams_apart()) for level in features.levels]


def feature_distance(features: PyramidFeatures, teacher: Pyramid) -> Tensor:
    """CI-KD (Aich et al., Efficient Controllable Multi-Task Architectures, ICCV 2023, arXiv 2308.11744).

    The paper asks that the features of the encoder at any width be those of the full encoder. The distance is the mean
    over levels, streams and images of

        ||f - f_full||^2 / ||f_full||^2

    whose normalisation is ours: 0 for equal features, about 1 for features that are nearly 0, whatever their scale.
    Each image is normalised by itself, so that the gradient of two processes is that of one with both halves of the
    batch.

    Args:
        features: of a narrow encoder.
        teacher: :func:`teacher_of` the full one, for the same images and streams.

    Returns:
        A scalar, computed in float32.
    """
    levels = []
    for level, expected in zip(features.levels, teacher, strict=True):
        ratios = [
            _squares(found.float() - target) / _squares(target).clamp(min=1e-12)
            for found, target in zip(level.streams_apart(), expected, strict=True)
        ]
        levels.append(torch.cat([ratio.flatten() for ratio in ratios]).mean())
    return torch.stack(levels).mean()


def _squares(x: Tensor) -> Tensor:
    """Sum of squares ``[S, B]`` of ``[S, B, ...]``."""
    return x.float().square().flatten(2).sum(-1)
