"""Which parameters the optimizer gets, and which of them decay."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

import mtl.engine  # noqa: F401  registers the constructor
from mtl.engine.optim.constructor import parameter_groups
from mtl.protocols import adapter_parameters
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
    constant = {group['decay_mult']: group['params'] for group in parameter_groups(model)}[0.0]
    assert {id(p) for p in constant} == {id(p) for p in model.parameters() if p.requires_grad and id(p) in expected}


def test_low_rank_factors_decay(model):
    decaying = {id(p) for group in parameter_groups(model) if group['decay_mult'] == 1.0 for p in group['params']}
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
    assert sorted(group['weight_decay'] for group in wrapper.optimizer.param_groups) == [0.0, 0.05]
    assert {group['lr'] for group in wrapper.optimizer.param_groups} == {5e-4}
    assert wrapper.optimizer.param_groups[0]['betas'] == (0.9, 0.95)
    assert wrapper.clip_grad_kwargs == {'max_norm': 5.0}


def test_a_frozen_model_is_refused():
    with pytest.raises(ValueError, match='No parameter'):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False))


def wrapper_of(model, optimizer=None, **rules):
    config = dict(
        optimizer=optimizer or dict(type='AdamW', lr=1e-3, weight_decay=0.05),
        paramwise_cfg=rules,
        constructor='mtl.MultiTaskOptimWrapperConstructor',
    )
    return build_optim_wrapper(model, config)


def test_rates_by_name(model):
    """Every parameter by the rule, looked up one by one."""
    keys = {
        'backbone': dict(lr_mult=0.1),
        'qkv.shared.A': dict(lr_mult=2.0, decay_mult=0.5),
        'heads': dict(decay_mult=3.0),
    }
    groups = wrapper_of(model, custom_keys=keys).optimizer.param_groups
    found = {id(p): (group['lr'], group['weight_decay']) for group in groups for p in group['params']}
    assert len({(group['lr'], group['weight_decay']) for group in groups}) == len(groups)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lr, decay = found.pop(id(parameter))
            in_backbone = 'backbone' in name
            is_factor = 'qkv.shared.A' in name
            assert lr == pytest.approx(2e-3 if is_factor else 1e-4 if in_backbone else 1e-3), name
            if decay:
                assert decay == pytest.approx(0.025 if is_factor else 0.15 if 'heads' in name else 0.05), name
    assert not found


@pytest.mark.parametrize(
    ('rules', 'message'),
    [
        (dict(bias_lr_mult=2.0), "custom_keys here, found 'bias_lr_mult'"),
        (dict(custom_keys={'backbone': dict(lr=2.0)}), 'takes lr_mult and decay_mult'),
        (dict(custom_keys={'bakbone': dict(lr_mult=2.0)}), "'bakbone' in its name. Names begin with .*backbone"),
    ],
)
def test_other_rules_are_refused(model, rules, message):
    with pytest.raises(ValueError, match=message):
        wrapper_of(model, **rules)


def test_a_rule_for_what_is_frozen_is_no_mistake():
    frozen = nn.ModuleDict(dict(backbone=nn.Linear(2, 2).requires_grad_(False), heads=nn.Linear(2, 2)))
    groups = wrapper_of(frozen, custom_keys={'backbone': dict(lr_mult=0.1)}).optimizer.param_groups
    assert {group['lr'] for group in groups} == {1e-3}


def test_a_factor_needs_something_to_multiply(model):
    with pytest.raises(ValueError, match='multiplies lr'):
        wrapper_of(model, optimizer=dict(type='AdamW'), custom_keys={'backbone': dict(lr_mult=0.1)})
