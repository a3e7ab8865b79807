"""Which parameters the optimizer gets, and which of them decay."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

import mtl.engine  # noqa: F401  registers the constructor
from mtl.engine.optim.constructor import parameter_groups
from mtl.models.adapters import adapter_parameters
from mtl.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

MODEL = dict(
    type='MultiTaskModel',
    tasks=dict(normals=dict(type='SurfaceNormals'), saliency=dict(type='Saliency')),
    backbone=dict(
        type='SwinBackbone',
        img_size=(56, 56),
        embed_dim=12,
        depths=(2, 2),
        num_heads=(2, 4),
        pretrained=None,
        allow_random_init=True,
        adapters=dict(rank=2, task_rank=2, trainable_scale=True),
        trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
    ),
    decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
    loss_weighting=dict(type='UncertaintyWeighting'),
)


@pytest.fixture(scope='module')
def model():
    return MODELS.build(MODEL)


def test_groups_hold_each_training_parameter_once_and_no_frozen_one(model):
    groups = parameter_groups(model)
    held = [id(parameter) for group in groups for parameter in group['params']]
    assert sorted(held) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)
    assert any(not parameter.requires_grad for parameter in model.parameters())


def test_biases_norms_tables_and_scales_do_not_decay(model):
    """Re-derived by walking the module types."""
    expected = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            norm = isinstance(module, (nn.LayerNorm, nn.BatchNorm2d))
            if norm or name in ('bias', 'scale', 'relative_position_bias_table'):
                expected.add(id(parameter))
    expected |= {id(parameter) for parameter in model.loss_weighting.parameters()}
    _, constant = parameter_groups(model)
    assert constant['weight_decay'] == 0.0
    assert {id(p) for p in constant['params']} == {
        id(p) for p in model.parameters() if p.requires_grad and id(p) in expected
    }


def test_low_rank_factors_decay(model):
    decaying = {id(parameter) for parameter in parameter_groups(model)[0]['params']}
    factors = [p for p in adapter_parameters(model) if p.ndim == 2 and p.requires_grad]
    assert factors
    assert all(id(parameter) in decaying for parameter in factors)


def test_it_builds_what_the_config_says(model):
    config = dict(
        type='OptimWrapper',
        constructor='MultiTaskOptimWrapperConstructor',
        optimizer=dict(type='AdamW', lr=5e-4, betas=(0.9, 0.95), weight_decay=0.05),
        clip_grad=dict(max_norm=5.0),
    )
    constructor = OPTIM_WRAPPER_CONSTRUCTORS.build(dict(type=config.pop('constructor'), optim_wrapper_cfg=config))
    wrapper = constructor(model)
    assert isinstance(wrapper.optimizer, torch.optim.AdamW)
    assert [group['weight_decay'] for group in wrapper.optimizer.param_groups] == [0.05, 0.0]
    assert wrapper.optimizer.param_groups[0]['betas'] == (0.9, 0.95)
    assert wrapper.clip_grad_kwargs == {'max_norm': 5.0}


def test_a_frozen_model_is_refused():
    with pytest.raises(ValueError, match='No parameter'):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False))


def test_rules_by_name_are_refused(model):
    config = dict(optimizer=dict(type='SGD', lr=1.0), paramwise_cfg=dict(bias_lr_mult=2.0))
    with pytest.raises(ValueError, match='paramwise_cfg'):
        build_optim_wrapper(model, {**config, 'constructor': 'mtl.MultiTaskOptimWrapperConstructor'})
