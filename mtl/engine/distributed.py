"""Several processes: the wrapper of models whose training step is more than one forward and one backward pass."""

from __future__ import annotations

from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from torch import Tensor

from mtl.registry import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class MultiTaskDistributedDataParallel(MMDistributedDataParallel):
    """MMEngine's wrapper, for models that train by a policy, too.

    MMEngine's calls the model's ``forward`` once and never its ``train_step``. Here the policy of a
    :class:`mtl.models.MultiTaskModel` is given the wrapper as the network to call.
    """

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """See :meth:`mtl.models.MultiTaskModel.train_step`."""
        if self.module.policy is None:
            return super().train_step(data, optim_wrapper)
        return self.module.policy.step(self.module, data, optim_wrapper, self)
