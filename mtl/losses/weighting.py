"""How the losses of several tasks become one number to minimise."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.registry import MODELS


@MODELS.register_module()
class FixedWeighting(nn.Module):
    """``w_t * L_t`` with the weight each task states."""

    def __init__(self, tasks: Mapping) -> None:
        super().__init__()
        self.weights = {name: task.loss_weight for name, task in tasks.items()}

    def forward(self, losses: dict[str, Tensor], absent: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """Weigh ``losses`` by task name; ``absent`` tasks (no label in the batch) keep their exact 0."""
        return {name: self.weights[name] * loss for name, loss in losses.items()}


@MODELS.register_module()
class UncertaintyWeighting(nn.Module):
    """Homoscedastic uncertainty (Kendall et al., CVPR 2018): ``w_t * (exp(-s_t) * L_t + s_t)``, ``s_t`` learned.

    Starting at ``s_t = 0`` it equals :class:`FixedWeighting`. An absent task leaves its ``s_t`` where it is: without
    a label there is no evidence about the noise.
    """

    def __init__(self, tasks: Mapping) -> None:
        super().__init__()
        self.weights = {name: task.loss_weight for name, task in tasks.items()}
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in tasks})

    def forward(self, losses: dict[str, Tensor], absent: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """Weigh ``losses`` by task name; ``absent`` tasks (no label in the batch) keep their exact 0."""
        weighted = {}
        for name, loss in losses.items():
            s = self.log_variance[name]
            evidence = 0.0 if name in absent else 1.0
            weighted[name] = self.weights[name] * (torch.exp(-s) * loss + evidence * s)
        return weighted
