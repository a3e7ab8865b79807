"""What a file must say of its network so that nothing else is needed to use it."""

from __future__ import annotations

from collections.abc import Iterable

from mmengine.config import Config
from torch import nn

import mtl
from mtl.checkpoints.publishing import task_meta
from mtl.models.data_preprocessor import MultiTaskDataPreprocessor
from mtl.tasks import Depth, Saliency, SemanticSegmentation, SurfaceNormals, Task

# what the logits of a task mean, by its class or the nearest one it inherits from
PREDICTIONS: dict[type[Task], str] = {
    SemanticSegmentation: 'class',  # the channel with the largest logit
    Saliency: 'probability',  # sigmoid
    SurfaceNormals: 'direction',  # vector to be scaled to length 1: x right, y down, z towards the camera
    Depth: 'metres',  # negative values mean 0
}
RAW = 'raw'  # of any other task


def describe(model: nn.Module, config: Config, tasks: Iterable[str]) -> dict:
    """Plain values, for JSON: version, ``input`` (what is done to an image) and ``tasks`` (what the outputs mean).

    Raises:
        ValueError: the model does not say how images are normalised.
    """
    preprocessor = model.data_preprocessor
    if not isinstance(preprocessor, MultiTaskDataPreprocessor):
        raise ValueError(
            'the model has no MultiTaskDataPreprocessor (model.data_preprocessor), so nothing says how images are '
            'normalised.'
        )
    return dict(
        mtl_version=mtl.__version__,
        input=dict(
            name='image',
            colours='rgb' if preprocessor.bgr_to_rgb else 'bgr',
            mean=preprocessor.mean.flatten().tolist(),
            std=preprocessor.std.flatten().tolist(),
            **input_size(config),
        ),
        tasks={name: _task(model.tasks[name]) for name in tasks},
    )


def input_size(config: Config) -> dict:
    """``size`` ``[H, W]`` of the images in evaluation, and ``keep_ratio``: images are fitted into it."""
    dataset = config.get('test_dataloader', {}).get('dataset', {})
    for step in dataset.get('pipeline', ()):
        if step['type'] == 'Resize':
            return dict(size=list(step['size']), keep_ratio=step.get('keep_ratio', False))
    size = config.model.backbone.get('img_size', 448)
    return dict(size=[size, size] if isinstance(size, int) else list(size), keep_ratio=False)


def _task(task: Task) -> dict:
    prediction = next((PREDICTIONS[kind] for kind in type(task).__mro__ if kind in PREDICTIONS), RAW)
    described = task_meta(task) | dict(prediction=prediction)
    return described | dict(max_depth=task.max_depth) if isinstance(task, Depth) else described
