"""MMEngine's optimizer wrappers, which leave a step out where the loss or the gradient is not finite."""

from __future__ import annotations

import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from torch import Tensor

from mtl.registry import OPTIM_WRAPPERS


class SkipsSteps:
    """Mixin: a step whose loss or gradient holds inf or NaN changes no weight.

    The gradient of a loss that is not finite becomes NaN. Where several processes exchange gradients, all of them find
    it so, and leave out the same step.

    Attributes:
        skipped: steps left out since the last one that was made.
    """

    skipped: int = 0

    def backward(self, loss: Tensor, **kwargs) -> None:
        """See the base class."""
        # times 1, to the last digit, unless the loss is inf or NaN
        super().backward(loss * torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan), **kwargs)

    def gradient_is_finite(self) -> bool:
        """Whether the gradients of all parameters are finite."""
        parameters = (p for group in self.optimizer.param_groups for p in group['params'])
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if not gradients:
            return True
        # a norm is inf or NaN where an entry is; it may overflow before, which is no better
        return bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients))).all())


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(SkipsSteps, MMEngineOptimWrapper):
    """MMEngine's ``OptimWrapper``, see :class:`SkipsSteps`."""

    def step(self, **kwargs) -> None:
        """See the base class."""
        if self.gradient_is_finite():
            self.skipped = 0
            super().step(**kwargs)
        else:
            self.skipped += 1


@OPTIM_WRAPPERS.register_module()
class AmpOptimWrapper(SkipsSteps, MMEngineAmpOptimWrapper):
    """MMEngine's ``AmpOptimWrapper``, which leaves such steps out already; :attr:`skipped` counts them.

    A gradient may overflow because its scale is too large; each such step halves the scale.
    """

    def step(self, **kwargs) -> None:
        """See the base class."""
        self.skipped = 0 if self.gradient_is_finite() else self.skipped + 1
        super().step(**kwargs)
