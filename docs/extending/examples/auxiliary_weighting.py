"""Learned weights of tasks that cannot become negative losses (Liebel and Koerner, arXiv 1805.06334)."""

import torch
from torch import nn

from mtl.losses import LossWeighting
from mtl.registry import MODELS


@MODELS.register_module()
class AuxiliaryWeighting(LossWeighting):
    """``w_t * (L_t / (2 s_t^2) + log(1 + s_t^2))``, ``s_t`` learned, ``w_t`` the task's own weight."""

    def __init__(self, tasks):
        super().__init__(tasks)
        self.scale = nn.ParameterDict({name: nn.Parameter(torch.ones(())) for name in tasks})

    def forward(self, losses, absent=frozenset()):
        weighted = {}
        for name, loss in losses.items():
            square = self.scale[name].square()
            penalty = torch.log1p(square) if name not in absent else 0.0 * square
            weighted[name] = self.weights[name] * (loss / (2 * square) + penalty)
        return weighted
