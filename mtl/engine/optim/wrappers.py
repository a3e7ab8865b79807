"""MMEngine's optimizer wrappers, which leave a step out where the loss or the gradient is not finite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from mmengine.optim import AmpOptimWrapper as MMEngineAmpOptimWrapper
from mmengine.optim import OptimWrapper as MMEngineOptimWrapper
from torch import Tensor, nn

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
        # a norm is inf or NaN where an entry is; it may overflow before, which is not better
        return bool(torch.isfinite(torch.stack(torch._foreach_norm(gradients))).all())


@OPTIM_WRAPPERS.register_module()
class OptimWrapper(SkipsSteps, MMEngineOptimWrapper):
    """MMEngine's ``OptimWrapper``, see :class:`SkipsSteps`.

    Args:
        autocast: compute the loss under :class:`torch.autocast` in this dtype, on a GPU or a CPU. ``'bfloat16'`` has
            the range of float32 and needs no scaled loss; use :class:`AmpOptimWrapper` for ``'float16'``.
            ``None``: in the dtype of the weights.
        args, kwargs: of MMEngine's ``OptimWrapper``.

    Raises:
        ValueError: ``autocast`` is neither ``None`` nor ``'bfloat16'``.
    """

    def __init__(self, *args, autocast: str | None = None, **kwargs) -> None:
        if autocast not in (None, 'bfloat16'):
            raise ValueError(
                f"autocast must be None or 'bfloat16'. Found {autocast!r}. "
                "Use dict(type='AmpOptimWrapper', dtype='float16') for 16-bit floats that need a scaled loss."
            )
        super().__init__(*args, **kwargs)
        self.autocast = autocast

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """See the base class."""
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16, enabled=self.autocast is not None):
            yield

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
