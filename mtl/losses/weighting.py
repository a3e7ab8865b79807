"""How the losses of several tasks become one number to minimise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.registry import MODELS


class LossWeighting(nn.Module, ABC):
    """The losses of the tasks go in, weighted ones come out; the model minimises their sum.

    The model builds it with its tasks. Its parameters are trained with the network's, without weight decay where they
    are scalars; its buffers are in checkpoints. Neither is needed to predict.

    Args:
        tasks: ``{name: task}``.

    Attributes:
        weights: the weight each task states.
    """

    def __init__(self, tasks: Mapping) -> None:
        super().__init__()
        self.weights = {name: task.loss_weight for name, task in tasks.items()}

    @abstractmethod
    def forward(self, losses: dict[str, Tensor], absent: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """Weighted losses by task name.

        Args:
            losses: scalars, one for each task that runs.
            absent: those without a label in the batch of any process. Their loss is an exact 0, which stays, connected
                to the parameters of the task.
        """


@MODELS.register_module()
class FixedWeighting(LossWeighting):
    """``w_t * L_t`` with the weight each task states."""

    def forward(self, losses: dict[str, Tensor], absent: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """See :class:`LossWeighting`."""
        return {name: self.weights[name] * loss for name, loss in losses.items()}


@MODELS.register_module()
class UncertaintyWeighting(LossWeighting):
    """Homoscedastic uncertainty (Kendall et al., CVPR 2018): ``w_t * (exp(-s_t) * L_t + s_t)``, ``s_t`` learned.

    Starting at ``s_t = 0`` it equals :class:`FixedWeighting`. An absent task leaves its ``s_t`` where it is: without
    a label there is no evidence about the noise.
    """

    def __init__(self, tasks: Mapping) -> None:
        super().__init__(tasks)
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in tasks})

    def forward(self, losses: dict[str, Tensor], absent: frozenset[str] = frozenset()) -> dict[str, Tensor]:
        """See :class:`LossWeighting`."""
        weighted = {}
        for name, loss in losses.items():
            s = self.log_variance[name]
            evidence = 0.0 if name in absent else 1.0
            weighted[name] = self.weights[name] * (torch.exp(-s) * loss + evidence * s)
        return weighted
