"""Geometric transforms: each draws one :class:`mtl.structures.Affine` and moves image and labels alike with it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mtl.registry import TRANSFORMS
from mtl.structures import Affine

MEAN_COLOUR = (104.0, 116.0, 124.0)  # BGR of ImageNet's mean: what a move brings in is nothing in particular


def move_labels(results: dict, affine: Affine) -> None:
    """Move every label that is loaded."""
    for name, task in results['tasks'].items():
        if f'gt_{name}' in results:
            results[f'gt_{name}'] = task.transform_target(results[f'gt_{name}'], affine)


def move(results: dict, affine: Affine) -> dict:
    """Move the image (bilinear) and every label that is loaded."""
    height, width = affine.size
    results['img'] = cv2.warpAffine(
        results['img'],
        np.asarray(affine.matrix, dtype=np.float64),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=MEAN_COLOUR,
    )
    move_labels(results, affine)
    results['img_shape'] = affine.size
    return results


def scaling(scale_y: float, scale_x: float, offset_y: float = 0.0, offset_x: float = 0.0) -> np.ndarray:
    """``[2, 3]`` matrix that scales about the image's corner, then moves by an offset.

    Pixel centres lie at integers, so the corner is at -0.5: ``x_dst = (x_src + 0.5) * s - 0.5 + offset``.
    """
    return np.array(
        [
            [scale_x, 0.0, 0.5 * scale_x - 0.5 + offset_x],
            [0.0, scale_y, 0.5 * scale_y - 0.5 + offset_y],
        ]
    )


def resample(results: dict, size: tuple[int, int]) -> dict:
    """Resample the image, and every label that is loaded, to ``size`` ``(height, width)``."""
    height, width = results['img'].shape[:2]
    if size == (height, width):
        return results
    # averaging over the pixel's area is what keeps fine texture from aliasing when an image shrinks
    shrinks = size[0] * size[1] < height * width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    results['img'] = cv2.resize(results['img'], size[::-1], interpolation=interpolation)
    move_labels(results, Affine(scaling(size[0] / height, size[1] / width), size))
    results['img_shape'] = size
    return results


@TRANSFORMS.register_module()
class Resize(BaseTransform):
    """Resample the whole frame to another size. Not a zoom: depth stays.

    Args:
        size: ``(height, width)``.
        keep_ratio: fit into ``size`` instead of filling it.
    """

    def __init__(self, size: Sequence[int], keep_ratio: bool = False) -> None:
        self.size, self.keep_ratio = tuple(size), keep_ratio

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        new_height, new_width = self.size
        if self.keep_ratio:
            scale = min(new_height / height, new_width / width)
            new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
        return resample(results, (new_height, new_width))


@TRANSFORMS.register_module()
class ResizeShortSide(BaseTransform):
    """Resample the whole frame, its shape kept. Not a zoom: depth stays.

    Args:
        size: pixels of the short side.
        longest: the long side has at most as many times the pixels of ``size``; a longer frame becomes smaller as a
            whole, so that a strip does not become a giant.
    """

    def __init__(self, size: int, longest: float = 4.0) -> None:
        self.size, self.longest = size, longest

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        scale = min(self.size / min(height, width), self.longest * self.size / max(height, width))
        return resample(results, (max(1, round(height * scale)), max(1, round(width * scale))))


@TRANSFORMS.register_module()
class RandomFlip(BaseTransform):
    """Mirror left and right with probability ``prob``."""

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        if np.random.random() >= self.prob:
            return results
        height, width = results['img'].shape[:2]
        return move(results, Affine(np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]]), (height, width)))


@TRANSFORMS.register_module()
class RandomRotateScale(BaseTransform):
    """Turn and zoom about the centre, in the same frame (the PASCAL augmentation of the MTLoRA recipe).

    Args:
        max_angle: degrees; the angle is uniform in ``[-max_angle, max_angle]``.
        scale: range of the zoom, uniform.
    """

    def __init__(self, max_angle: float = 20.0, scale: Sequence[float] = (0.75, 1.25)) -> None:
        self.max_angle, self.scale = max_angle, tuple(scale)

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        angle = np.random.uniform(-self.max_angle, self.max_angle)
        zoom = np.random.uniform(*self.scale)
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom)
        return move(results, Affine(matrix, (height, width), zoom=zoom))


@TRANSFORMS.register_module()
class RandomScaleCrop(BaseTransform):
    """Zoom, then cut out a window at random; what the window shows beyond the image is unknown.

    Args:
        size: ``(height, width)`` of the window; ``None`` for the image's own.
        scale: range of the zoom, uniform.
        choices: a list of zooms to choose from instead of a range.
        reference: the zoom at which depth stays as labelled; at twice this zoom everything is half as far. Set it
            where images are tested at another size than their own: test height over image height.
    """

    def __init__(
        self,
        size: Sequence[int] | None = None,
        scale: Sequence[float] = (0.5, 2.0),
        choices: Sequence[float] | None = None,
        reference: float = 1.0,
    ) -> None:
        self.size = tuple(size) if size is not None else None
        self.scale, self.choices = tuple(scale), choices
        self.reference = reference

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        size = self.size or (height, width)
        zoom = float(np.random.choice(self.choices) if self.choices else np.random.uniform(*self.scale))
        # the window moves over the zoomed image, or the zoomed image inside the window
        offset_y, offset_x = (
            -np.random.randint(min(0, round(old * zoom) - new), max(0, round(old * zoom) - new) + 1)
            for old, new in zip((height, width), size, strict=True)
        )
        return move(results, Affine(scaling(zoom, zoom, offset_y, offset_x), size, zoom=zoom / self.reference))
