"""Averaged weights of a network whose units move."""

from __future__ import annotations

from mmengine.hooks import EMAHook as MMEngineEMAHook

from mtl.checkpoints.adapters_only import put_back_base
from mtl.protocols import SortedUnits
from mtl.registry import HOOKS


@HOOKS.register_module()
class EMAHook(MMEngineEMAHook):
    """MMEngine's ``EMAHook``: the average moves its units when the network does, and finds the base it left out.

    The first sandwich sorts units by importance. An average that kept the old places would mix units that have nothing
    to do with each other.
    """

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """See the base class."""
        if isinstance(self.src_model, SortedUnits):
            self.ema_model.module.move_units(dict(self.src_model.named_buffers()))
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """See the base class. A file of adapters only is completed first: the average has the same frozen base."""
        put_back_base(self.src_model, checkpoint)
        super().after_load_checkpoint(runner, checkpoint)
