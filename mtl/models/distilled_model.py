"""A multi-task model whose backbone also learns to give the features of a frozen teacher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.data_preprocessor import MultiTaskDataPreprocessor
from mtl.models.multi_task_model import MultiTaskModel
from mtl.protocols import Backbone
from mtl.registry import MODELS
from mtl.structures import SHARED, MultiTaskDataSample, PyramidFeatures


@MODELS.register_module()
class DistilledMultiTaskModel(MultiTaskModel):
    """A :class:`MultiTaskModel` that distils the features of a teacher on every image, labelled or not.

    A linear map of a level of the backbone predicts a level of the teacher. The teacher's channels are standardised by
    their running mean and variance, so the loss of a pair of levels is the share of variance that is not explained:
    1 for a backbone that knows nothing, 0 for one from which the teacher's features can be read off linearly
    (FitNets, Romero et al., ICLR 2015, with a loss whose scale does not depend on the teacher).

    A level of the teacher that is finer than the backbone's keeps its resolution: each pixel of the backbone predicts
    the block of pixels that it covers. With several widths, the full width learns from the teacher, and the others
    from the full width (CI-KD), as always.

    Args:
        teacher: config of a backbone; it is frozen and stays in evaluation mode.
        pairs: ``(level of the backbone, level of the teacher)`` for each term of the loss.
        teacher_weight: weight of each term.
        kwargs: see :class:`MultiTaskModel`. A data preprocessor is needed: its mean and std are exchanged for
            those of the teacher.

    Raises:
        ValueError: a pair whose teacher level is coarser than the backbone's, or not a whole multiple finer.
    """

    data_preprocessor: MultiTaskDataPreprocessor
    teacher: Backbone
    teacher_mean: Tensor
    teacher_std: Tensor

    def __init__(
        self,
        teacher: dict,
        pairs: Sequence[Sequence[int]],
        teacher_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.teacher = MODELS.build({'tasks': (), **teacher}).requires_grad_(False)
        self.teacher_weight = teacher_weight
        self.pairs = tuple((int(own), int(other)) for own, other in pairs)
        self.factors = tuple(self._factor(own, other) for own, other in self.pairs)
        channels = [
            self.teacher.channels[other] * factor**2
            for (_, other), factor in zip(self.pairs, self.factors, strict=True)
        ]
        self.projections = nn.ModuleList(
            nn.Conv2d(self.backbone.channels[own], width, 1)
            for (own, _), width in zip(self.pairs, channels, strict=True)
        )
        self.standardise = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in channels)
        for name, value in (('teacher_mean', self.teacher.pixel_mean), ('teacher_std', self.teacher.pixel_std)):
            self.register_buffer(name, torch.tensor(value).view(3, 1, 1), persistent=False)
        self.train(self.training)

    @classmethod
    def for_prediction(cls, config: dict) -> tuple[dict, tuple[str, ...]]:
        """See the base class: a :class:`MultiTaskModel`, without the teacher."""
        kept = {key: value for key, value in config.items() if key not in ('teacher', 'pairs', 'teacher_weight')}
        return {**kept, 'type': 'MultiTaskModel'}, ('teacher', 'projections.', 'standardise.')

    def _factor(self, own: int, other: int) -> int:
        stride, teacher_stride = self.backbone.strides[own], self.teacher.strides[other]
        if stride % teacher_stride:
            raise ValueError(
                f"The backbone's level {own} has stride {stride}; the teacher's level {other} must have that stride or "
                f'a whole fraction of it. Found {teacher_stride}.'
            )
        return stride // teacher_stride

    def train(self, mode: bool = True) -> DistilledMultiTaskModel:
        """As always, but the teacher stays in evaluation mode."""
        super().train(mode)
        if hasattr(self, 'teacher'):  # MultiTaskModel's constructor calls this, too
            self.teacher.eval()
        return self

    @property
    def reads_shared(self) -> bool:
        """In training also by the teacher's loss."""
        return self.training or super().reads_shared

    def loss_and_features(
        self, inputs: Tensor, data_samples: list[MultiTaskDataSample], tasks: Sequence[str] | None = None
    ) -> tuple[dict[str, Tensor], PyramidFeatures]:
        """See the base class; at full width also ``loss/teacher<i>`` for each pair of levels."""
        losses, features = super().loss_and_features(inputs, data_samples, tasks)
        if self.width in (None, self.space.full):
            for index, value in enumerate(self.distillation_losses(features, inputs)):
                losses[f'loss/teacher{index}'] = self.teacher_weight * value
        return losses, features

    def distillation_losses(self, pyramid: PyramidFeatures, inputs: Tensor) -> list[Tensor]:
        """Share of the teacher's variance that is not explained, a scalar for each pair of levels.

        Args:
            pyramid: features of the backbone.
            inputs: the images ``[B, 3, H, W]`` they belong to, normalised for the backbone.
        """
        targets = self._teacher_levels(inputs)
        losses = []
        for (own, other), factor, project, standardise in zip(
            self.pairs, self.factors, self.projections, self.standardise, strict=True
        ):
            with torch.no_grad():
                target = standardise(F.pixel_unshuffle(targets[other], factor))
            losses.append(F.mse_loss(project(pyramid.levels[own].of(SHARED)), target))
        return losses

    @torch.no_grad()
    def _teacher_levels(self, inputs: Tensor) -> list[Tensor]:
        preprocessor, divisor = self.data_preprocessor, self.backbone.size_divisor
        height, width = inputs.shape[-2:]
        images = (inputs * preprocessor.std + preprocessor.mean - self.teacher_mean) / self.teacher_std
        images = F.pad(images, (0, -width % divisor, 0, -height % divisor))
        return [level.of(SHARED) for level in self.teacher(images).levels]
