"""Test-time augmentation: average what the network says of an image, of its mirror image, and at other scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseTTAModel
from torch import Tensor, nn

from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample


@MODELS.register_module()
class MultiTaskTTAModel(BaseTTAModel):
    """A wrapper that averages each task's logits, mirrored ones turned back by the task (normals change sign).

    Args:
        module: config of a :class:`mtl.models.MultiTaskModel`, or the model.
        scales: sizes relative to the test size.
        flip: add the mirror image at every scale.
    """

    def __init__(self, module: dict | nn.Module, scales: Sequence[float] = (1.0,), flip: bool = True) -> None:
        super().__init__(module)
        self.scales, self.flip = tuple(scales), flip

    @property
    def tasks(self) -> dict:
        return self.module.tasks

    @torch.no_grad()
    def test_step(self, data: dict) -> list[MultiTaskDataSample]:
        """Predictions of one batch from the data loader."""
        data = self.module.data_preprocessor(data, False)
        return self.module.add_predictions(data['data_samples'], self.logits(data['inputs']))

    def logits(self, inputs: Tensor) -> dict[str, Tensor]:
        """Mean logits ``{task: [B, C, H, W]}`` at the resolution of ``inputs`` ``[B, 3, H, W]``."""
        views = [(scale, flipped) for scale in self.scales for flipped in ((False, True) if self.flip else (False,))]
        total: dict[str, Tensor] = {}
        for scale, flipped in views:
            for name, values in self._view(inputs, scale, flipped).items():
                total[name] = total.get(name, 0) + values / len(views)
        return total

    def _view(self, inputs: Tensor, scale: float, flipped: bool) -> dict[str, Tensor]:
        size = inputs.shape[-2:]
        view = _resized(inputs, tuple(round(side * scale) for side in size))
        logits = self.module.logits(view.flip(-1) if flipped else view)
        if flipped:
            logits = {name: self.tasks[name].unflip_logits(values) for name, values in logits.items()}
        return {name: _resized(values, size) for name, values in logits.items()}

    def merge_preds(self, data_samples_list: list) -> list:
        """Required by MMEngine's base class, which merges predictions; here logits are averaged instead."""
        raise RuntimeError('MultiTaskTTAModel averages logits in test_step; there is nothing to merge.')


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if maps.shape[-2:] == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)
