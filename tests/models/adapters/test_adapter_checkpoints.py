"""Adapter-only checkpoints: small, complete on the right base, refused on another."""

import pytest
import torch

from mtl.checkpoints.adapters_only import BaseMismatchError, base_keys, leave_out_base, put_back_base

TRAINED = ('patch_embed', 'norms', 'relative_position_bias', 'reductions')
ADAPTERS = dict(rank=3, task_rank=2)


@pytest.fixture
def trained(micro_model):
    """A model of which everything that trains, and the statistics of its norms, has moved."""
    model = micro_model(adapters=ADAPTERS, trainable=TRAINED)
    torch.manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    model.train()
    model.logits(torch.randn(2, 3, 56, 56))  # moves the statistics of BatchNorm
    return model


def saved(model, path):
    checkpoint = dict(state_dict=model.state_dict(), meta=dict(epoch=1))
    leave_out_base(model, checkpoint)
    torch.save(checkpoint, path)
    return torch.load(path, weights_only=True)


def test_round_trip(trained, micro_model, tmp_path):
    checkpoint = saved(trained, tmp_path / 'adapters.pth')
    assert not any('fc1.weight' in key for key in checkpoint['state_dict'])
    assert any('running_mean' in key for key in checkpoint['state_dict'])
    assert any('tasks.semseg.A' in key for key in checkpoint['state_dict'])
    fresh = micro_model(adapters=ADAPTERS, trainable=TRAINED)
    put_back_base(fresh, checkpoint)
    fresh.load_state_dict(checkpoint['state_dict'], strict=True)
    for key, value in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], value), key
    assert checkpoint['meta'] == dict(epoch=1)


def test_what_is_left_out(trained):
    left_out = set(base_keys(trained))
    for name, parameter in trained.named_parameters():
        is_adapter = name.split('.')[-1] in ('A', 'B')
        assert (name in left_out) == (not parameter.requires_grad and not is_adapter), name
    # no logit depends on these adapter factors, so they are frozen; they are kept all the same
    dead = 'backbone.swin.layers.1.blocks.1.block.mlp.fc2.shared.A'
    assert not dict(trained.named_parameters())[dead].requires_grad
    assert dead not in left_out


def test_merged_layers_are_saved_unmerged(trained, tmp_path):
    from mtl.models.adapters import merge_adapters

    before = saved(trained, tmp_path / 'before.pth')
    merge_adapters(trained)
    after = saved(trained, tmp_path / 'after.pth')
    assert before['meta'] == after['meta']


def test_another_base_is_refused(trained, micro_model, tmp_path):
    checkpoint = saved(trained, tmp_path / 'adapters.pth')
    other = micro_model(seed=1, adapters=ADAPTERS, trainable=TRAINED)
    with pytest.raises(BaseMismatchError, match=r'fingerprint.*pretrained'):
        put_back_base(other, checkpoint)


def test_a_whole_checkpoint_is_left_alone(trained):
    checkpoint = dict(state_dict=trained.state_dict(), meta={})
    put_back_base(trained, checkpoint)
    assert checkpoint == dict(state_dict=checkpoint['state_dict'], meta={})
