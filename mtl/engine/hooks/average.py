"""Averaged weights of a network whose units move."""

from __future__ import annotations

import torch
from mmengine.hooks import EMAHook as MMEngineEMAHook

from mtl.registry import HOOKS


@HOOKS.register_module()
class EMAHook(MMEngineEMAHook):
    """MMEngine's ``EMAHook``: the average of a slimmable network moves its units when the network does.

    The first sandwich sorts units by importance. An average that kept the old places would mix units that have nothing
    to do with each other.
    """

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """See the base class."""
        average = self.ema_model.module
        order = getattr(self.src_model, 'unit_order', None)
        if order is not None and not torch.equal(order, average.unit_order):
            average.move_units({'unit_order': order})
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
