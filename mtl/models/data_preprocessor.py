"""From a list of samples to a batch on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mtl.registry import MODELS
from mtl.tasks import Task, build_tasks


@MODELS.register_module()
class MultiTaskDataPreprocessor(BaseDataPreprocessor):
    """Moves samples to the device, normalises and pads images to one size, pads labels with what means unknown.

    Images are padded (with 0, the mean colour, at the right and below) to the largest of the batch and to a multiple
    of ``size_divisor``. Labels are padded alike in training; in evaluation they keep their own resolution.

    Args:
        tasks: ``{name: task or config}`` (the model fills it in).
        mean, std: of RGB values in 0..255. In a model, those of its backbone's weights unless stated; otherwise those
            of ImageNet.
        bgr_to_rgb: images come as BGR.
        size_divisor: sides of the batch are multiples of it.

    Raises:
        ValueError: a mean or std that no pixel can have.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        tasks: Mapping[str, dict | Task],
        mean: Sequence[float] = (123.675, 116.28, 103.53),
        std: Sequence[float] = (58.395, 57.12, 57.375),
        bgr_to_rgb: bool = True,
        size_divisor: int = 1,
    ) -> None:
        super().__init__()
        numbers = [*mean, *std]
        if len(mean) != 3 or len(std) != 3 or not np.isfinite(numbers).all() or min(std) <= 0:
            raise ValueError(
                f'mean and std are three finite numbers each, of R, G and B in 0 to 255, std above 0; found mean '
                f'{list(mean)} and std {list(std)}.'
            )
        self.tasks = build_tasks(tasks)
        self.bgr_to_rgb, self.size_divisor = bgr_to_rgb, size_divisor
        self.register_buffer('mean', torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std, dtype=torch.float32).view(3, 1, 1), persistent=False)

    def forward(self, data: dict, training: bool = False) -> dict:
        """A batch ``dict(inputs=[B, 3, H, W] float, data_samples=[...] or None)``.

        Args:
            data: ``inputs``, a list of ``[3, H, W]`` or a tensor ``[B, 3, H, W]``, and perhaps ``data_samples``.
            training: pad the labels, too.
        """
        data = self.cast_data(data)
        images = [self._normalise(image) for image in data['inputs']]
        height = _round_up(max(image.shape[-2] for image in images), self.size_divisor)
        width = _round_up(max(image.shape[-1] for image in images), self.size_divisor)
        samples = data.get('data_samples')
        for image, sample in zip(images, samples or (), strict=False):
            sample.set_metainfo({'img_shape': tuple(image.shape[-2:]), 'batch_input_shape': (height, width)})
            if training:
                for name, task in self.tasks.items():
                    if sample.has_label(name):
                        self._check_size(name, sample.label(name), image)
                        label = _pad(sample.label(name), height, width, task.ignore_value)
                        sample.set_data({f'gt_{name}': label})
        return {'inputs': torch.stack([_pad(image, height, width, 0.0) for image in images]), 'data_samples': samples}

    @staticmethod
    def _check_size(name: str, label: Tensor, image: Tensor) -> None:
        if label.shape[-2:] != image.shape[-2:]:
            raise ValueError(
                f'In training a label has the size of its image; found {name} {tuple(label.shape[-2:])} for an image '
                f'{tuple(image.shape[-2:])}. In the pipeline LoadLabels must come before the transforms.'
            )

    def _normalise(self, image: Tensor) -> Tensor:
        image = image.flip(0) if self.bgr_to_rgb else image
        return (image.float() - self.mean) / self.std


def _round_up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor


def _pad(values: Tensor, height: int, width: int, fill: float) -> Tensor:
    """Pad the last two axes at the right and below."""
    return F.pad(values, (0, width - values.shape[-1], 0, height - values.shape[-2]), value=fill)
