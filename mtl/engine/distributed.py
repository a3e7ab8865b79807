"""Several processes: the wrapper of models whose training step is more than one forward and one backward pass."""

from __future__ import annotations

from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor

from mtl.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class MultiTaskDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper, for models that train by a step of their own, too.

    MMEngine's calls the model's ``forward`` once and never its ``train_step``. A model with a method
    ``sandwich_step(data, optim_wrapper, network)`` is given this wrapper as the network to call instead.
    """

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """See :meth:`mtl.models.SlimmableMultiTaskModel.sandwich_step`."""
        if hasattr(self.module, 'sandwich_step'):
            return self.module.sandwich_step(data, optim_wrapper, self)
        return super().train_step(data, optim_wrapper)
