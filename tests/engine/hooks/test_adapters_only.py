"""The checkpoint hook's option: the frozen base is left out when saving and put back when loading."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mtl.checkpoints.adapters_only import BaseMismatchError
from mtl.engine import AtomicCheckpointHook
from mtl.models.adapters import MTLoRALinear


def make_model(seed=0):
    torch.manual_seed(seed)
    base = nn.Linear(4, 6).requires_grad_(False)
    return nn.Sequential(MTLoRALinear(base, rank=2), nn.BatchNorm1d(6))


@pytest.mark.parametrize('wrapped', [False, True])
def test_save_and_load(wrapped):
    model = make_model()
    runner = SimpleNamespace(model=SimpleNamespace(module=model) if wrapped else model)
    hook = AtomicCheckpointHook(adapters_only=True)
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    hook.before_save_checkpoint(runner, checkpoint)
    assert '0.weight' not in checkpoint['state_dict']
    assert '0.shared.A' in checkpoint['state_dict']
    assert '1.running_mean' in checkpoint['state_dict']
    with pytest.raises(BaseMismatchError):
        hook.after_load_checkpoint(SimpleNamespace(model=make_model(1), _load_from=None, _resume=True), checkpoint)
    hook.after_load_checkpoint(SimpleNamespace(model=make_model(), _load_from='file.pth', _resume=False), checkpoint)
    assert set(checkpoint['state_dict']) == set(model.state_dict())


def test_off_by_default():
    model = make_model()
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    AtomicCheckpointHook().before_save_checkpoint(SimpleNamespace(model=model), checkpoint)
    assert set(checkpoint['state_dict']) == set(model.state_dict())
