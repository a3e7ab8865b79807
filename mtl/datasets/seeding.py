"""Random numbers of data workers."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmengine.registry import FUNCTIONS


@FUNCTIONS.register_module()
def seed_worker(worker_id: int, **kwargs) -> None:
    """Seed python and numpy from the seed torch gave this worker.

    torch draws it anew every epoch from the main process's generator. MMEngine's default seeds every epoch's workers
    alike, so that every epoch sees the same augmentations.
    """
    seed = torch.initial_seed() % 2**32
    random.seed(seed)
    np.random.seed(seed)
