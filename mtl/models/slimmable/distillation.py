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
    """CI-KD (ECMT, ICCV 2023; the normalisation is ours): mean over levels, streams and images of

        ||f - f_full||^2 / ||f_full||^2

    0 for equal features, about 1 for features that are nearly 0. Each image is normalised by itself, so that the
    gradient of two processes is that of one with both halves of the batch.

    Args:
        features: of a narrow encoder.
        teacher: :func:`teacher_of` the full one, for the same images and streams.
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
