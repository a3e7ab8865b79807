"""(IA)^3: learned scales of the inputs of frozen linear layers (Liu et al., NeurIPS 2022), shared and per task."""

import torch
from torch import nn

from mtl.models.adapters import Placement, UpdatedLinear
from mtl.registry import MODELS


class ScaledLinear(UpdatedLinear):
    """``W ((1 + s) * x) + b``, with ``s_t`` in place of ``s`` for the stream of each task."""

    def __init__(self, base, tasks):
        super().__init__(base)
        self.scale = nn.Parameter(torch.zeros(base.in_features))
        self.tasks = nn.ParameterDict({task: nn.Parameter(torch.zeros(base.in_features)) for task in tasks})

    def delta_weight(self, task=None):
        return self.base_weight * (self.scale if task is None else self.tasks[task])

    def adapter_parameters(self):
        return [self.scale, *self.tasks.values()]

    def slim_axes(self, out, into):
        scales = ['scale', *(f'tasks.{task}' for task in self.tasks)]
        return super().slim_axes(out, into) | {name: {0: into} for name in scales}


@MODELS.register_module()
class IA3(Placement):
    """Scales before the layers of some roles; scales of tasks where their streams pass."""

    wants_streams = True

    def __init__(self, targets=('qkv', 'proj', 'fc1', 'fc2')):
        self.targets = tuple(targets)

    def adapt(self, layer, target, stage, tasks=(), last=False):
        return ScaledLinear(layer, tasks) if target in self.targets else layer
