"""From arrays to tensors."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

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
                channels_first = label.transpose(2, 0, 1) if label.ndim == 3 else label
                sample.set_field(torch.from_numpy(np.ascontiguousarray(channels_first)), f'gt_{name}')
        image = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        return {'inputs': image, 'data_samples': sample}
