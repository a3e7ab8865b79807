"""Random numbers of an epoch depend on nothing that came before it."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from mtl.engine import SeedHook


def draws(seed=0, iteration=0, rank=0):
    SeedHook().before_train_epoch(SimpleNamespace(seed=seed, iter=iteration, rank=rank))
    return random.random(), float(np.random.rand()), torch.rand(1).item()


def test_an_epoch_draws_the_same_whatever_was_drawn_before():
    first = draws(iteration=30)
    torch.rand(17), np.random.rand(3), random.random()
    assert draws(iteration=30) == first


def test_epochs_processes_and_seeds_differ():
    values = [draws(), draws(iteration=30), draws(rank=1), draws(seed=1)]
    for generator in zip(*values, strict=True):
        assert len(set(generator)) == 4
