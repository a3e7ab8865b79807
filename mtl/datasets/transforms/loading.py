"""Reading images and labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from mtl.datasets.base import SampleError, read_or_explain
from mtl.files import read_picture
from mtl.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``img``, ``[H, W, 3]`` uint8 BGR; sets ``ori_shape`` and ``img_shape``."""

    def transform(self, results: dict) -> dict:
        path = Path(results['img_path'])
        what = f'The image of sample {results.get("sample_id", path.stem)}'
        image = read_or_explain(lambda: read_picture(path), what, [path])
        results['img'] = np.ascontiguousarray(image[..., ::-1])
        results['ori_shape'] = results['img_shape'] = image.shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read the label of every task into ``gt_<task>``; a label that the sample lacks leaves no key.

    After :class:`Resize` it leaves labels at their own resolution, which is what evaluation wants.
    """

    def transform(self, results: dict) -> dict:
        for name, task in results['tasks'].items():
            label = results['read_label'](name, results['sample_id'])
            if label is None:
                continue
            fault = size_fault(label, results['ori_shape']) or task.fault(label)
            if fault:
                files = ', '.join(str(path) for path in results['label_sources'](name, results['sample_id']))
                raise SampleError(f'The label {name} of sample {results["sample_id"]} ({files}) {fault}.')
            results[f'gt_{name}'] = label
        return results


def size_fault(label: np.ndarray, image_shape: Sequence[int]) -> str | None:
    """How the size of a label differs from that of its image, as a clause; ``None`` where it does not."""
    if label.shape[:2] == tuple(image_shape[:2]):
        return None
    return 'is {} x {} pixels, its image {} x {}'.format(*label.shape[:2], *image_shape[:2])
