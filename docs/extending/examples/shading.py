"""Shading: how bright every surface is under a lamp at the camera, whatever its colour (Taskonomy's "reshading")."""

import numpy as np
import torch

from mtl.evaluation import AdditiveMetric
from mtl.losses import masked_l1
from mtl.registry import METRICS, TASKS
from mtl.tasks import Task
from mtl.tasks.base import as_numpy


@TASKS.register_module()
class Shading(Task):
    """``[H, W]`` float32, from 0 (turned away) to 1 (facing the camera); -1 is unknown."""

    source = 'normals'  # the label that it is derived from
    out_channels = 1
    headline, lower_is_better = 'rmse', True
    ignore_value = -1.0

    def from_label(self, label):
        return np.where(label.any(axis=2), label[..., 2].clip(0, 1), np.float32(-1))

    def loss(self, logits, target):
        return masked_l1(logits.sigmoid().squeeze(1), target, valid=self.valid(target))

    def predict(self, logits):
        return logits.float().sigmoid().squeeze(1)

    def draw(self, values):
        return np.repeat((as_numpy(values).clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)

    def metric(self):
        return dict(type='ShadingMetric')


@METRICS.register_module()
class ShadingMetric(AdditiveMetric):
    """Root of the mean squared error over all known pixels."""

    def zeros(self):
        return dict(pixels=torch.zeros((), dtype=torch.int64), sums=torch.zeros(3, dtype=torch.float64))

    def count(self, prediction, target):
        valid = self.task.valid(target)
        truth, guess = target[valid].double(), prediction[valid].double()
        return dict(pixels=valid.sum(), sums=torch.stack([(guess - truth).square().sum(), truth.sum(), truth @ truth]))

    def summarize(self, totals):
        return dict(rmse=(totals['sums'][0] / totals['pixels']).sqrt())

    def best_constant(self, totals):
        mean, square = totals['sums'][1:] / totals['pixels']
        return float((square - mean.square()).sqrt())
