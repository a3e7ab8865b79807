"""Reading images and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mtl.datasets.base import SampleError
from mtl.datasets.files import read_picture
from mtl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img``, ``[H, W, 3]`` uint8 BGR; sets ``ori_shape`` and ``img_shape``."""

    def transform(self, results: dict) -> dict:
        path = results['img_path']
        try:
            image = read_picture(Path(path))
        except OSError as error:
            sample = results.get('sample_id', path)
            raise SampleError(
                f'The image {path} of sample {sample} cannot be read ({type(error).__name__}: {error}).'
            ) from error
        results['img'] = np.ascontiguousarray(image[..., ::-1])
        results['ori_shape'] = results['img_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read the label of every task into ``gt_<task>``; a label that the sample lacks leaves no key.

    After :class:`Resize` it leaves labels at their own resolution, which is what evaluation wants.
    """

    def transform(self, results: dict) -> dict:
        for name in results['tasks']:
            label = results['read_label'](name, results['sample_id'])
            if label is None:
                continue
            if label.shape[:2] != tuple(results['ori_shape']):
                raise SampleError(
                    f'The label {name} of sample {results["sample_id"]} is {label.shape[0]} x {label.shape[1]} pixels, '
                    f'its image {results["img_path"]} {results["ori_shape"][0]} x {results["ori_shape"][1]}.'
                )
            results[f'gt_{name}'] = label
        return results
