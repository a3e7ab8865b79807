"""Random numbers that do not depend on when a run was interrupted."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.hooks import Hook

from mtl.registry import HOOKS


@HOOKS.register_module()
class SeedHook(Hook):
    """Seed python, numpy and torch at the start of every epoch from (seed, first iteration, process).

    A run resumed at an epoch's start then draws what an uninterrupted run would draw: dropout here, augmentation in
    the data workers, whose seeds torch derives from this generator when the epoch's iterator is made. Workers must
    therefore not outlive the epoch (``persistent_workers=False``).
    """

    priority = 'VERY_HIGH'  # before anything draws

    def before_train_epoch(self, runner) -> None:
        seed = int(np.random.SeedSequence([runner.seed, runner.iter, runner.rank]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
