"""What a run shows in TensorBoard."""

from __future__ import annotations

import re

from mmengine.visualization import TensorboardVisBackend

from mtl.registry import VISBACKENDS

# TensorBoard makes a section of every first part of a name, and opens the first two of the alphabet: loss and metric
NAMES = {
    'loss': 'loss/total',
    'lr': 'optimizer/lr',
    'base_lr': 'optimizer/base_lr',
    'grad_norm': 'optimizer/grad_norm',
    'time': 'speed/seconds_per_iteration',
    'data_time': 'speed/seconds_waiting_for_data',
    'memory': 'speed/memory_mb',
}
# the axis itself, and one curve for each expert of each level of each task: those are in the picture `gates`
LEFT_OUT = re.compile(r'epoch|iter|gates/.+/level_\d+/.+')
OF_TRAINING = ('time', 'data_time')


@VISBACKENDS.register_module()
class MultiTaskTensorboardBackend(TensorboardVisBackend):
    """MMEngine's TensorBoard backend, with scalars in few sections and without those that nobody looks at.

    Sections are ``loss``, ``metric``, ``optimizer``, ``routing`` (gates), ``speed``, ``width``. Metrics and panels have
    the epoch as step, everything else the iteration. ``scalars.json`` beside the event file has every number under its
    own name.
    """

    def add_scalars(self, scalar_dict: dict, step: int = 0, file_path: str | None = None, **kwargs) -> None:
        """See the base class."""
        training = 'loss' in scalar_dict
        for name, value in scalar_dict.items():
            if LEFT_OUT.fullmatch(name) or (name in OF_TRAINING and not training):
                continue  # the time of a validation would be one more point of the training's curve
            self.add_scalar(NAMES.get(name, re.sub('^gates/', 'routing/', name)), value, step)
