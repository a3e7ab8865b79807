"""From arrays to tensors."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mtl.registry import TRANSFORMS
from mtl.structures import MultiTaskDataSample

META_KEYS = ('sample_id', 'img_path', 'ori_shape', 'img_shape', 'dataset')


@TRANSFORMS.register_module()
class Pack(BaseTransform):
    """``inputs`` ``[3, H, W]`` uint8 (BGR) and a :class:`MultiTaskDataSample` with the labels as tensors."""

    def transform(self, results: dict) -> dict:
        sample = MultiTaskDataSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        for name in results.get('tasks', ()):
            label = results.get(f'gt_{name}')
            if label is not None:
                sample.set_field(channels_first(label), f'gt_{name}')
        return {'inputs': channels_first(results['img']), 'data_samples': sample}


def channels_first(values: np.ndarray) -> Tensor:
    """``[H, W]`` as it is, ``[H, W, C]`` as ``[C, H, W]``, contiguous."""
    if values.ndim == 2:
        return torch.from_numpy(np.ascontiguousarray(values))
    planes = np.empty((values.shape[2], *values.shape[:2]), values.dtype)
    for plane, channel in zip(planes, np.moveaxis(values, 2, 0), strict=True):  # faster than all at once
        plane[...] = channel
    return torch.from_numpy(planes)
