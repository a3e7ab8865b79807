"""Keys that nobody reads, and numbers that cannot be meant."""

import copy
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mtl.cli.shared.configs import change_options, read_config
from mtl.engine.config_check import ConfigKeyError, arguments_of, check_config
from mtl.registry import MODELS, TASKS

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [path for path in sorted((ROOT / 'configs').rglob('*.py')) if '_base_' not in path.parts]
QUICKSTART = str(ROOT / 'configs/quickstart.py')


@pytest.mark.parametrize(
    ('option', 'nearest'),
    [
        ('optim_wraper.optimizer.lr', 'optim_wrapper.optimizer.lr'),
        ('train_dataloader.batch_sise', 'train_dataloader.batch_size'),
        ('train_dataloader.dataset.num_trai', 'train_dataloader.dataset.num_train'),
        ('model.backbone.adapters.rnk', 'model.backbone.adapters.rank'),
        ('model.decoder.level_chanels', 'model.decoder.level_channels'),
        ('model.slimming.sample', 'model.slimming.samples'),
        ('model.tasks.semseg.loss_wieght', 'model.tasks.semseg.loss_weight'),
        ('optim_wrapper.clip_gard', 'optim_wrapper.clip_grad'),
        ('optim_wrapper.optimizer.weight_deacy', 'optim_wrapper.optimizer.weight_decay'),
        ('param_scheduler.1.T_mx', 'param_scheduler.1.T_max'),
        ('default_hooks.panels.cuont', 'default_hooks.panels.count'),
        ('train_cfg.max_epoch', 'train_cfg.max_epochs'),
        ('data_rot', 'data_root'),
    ],
)
def test_the_nearest_known_key_is_named(option, nearest):
    with pytest.raises(ConfigKeyError, match=f'does not know {option}. Did you mean {nearest}'):
        read_config(QUICKSTART, {option: 2})


def test_a_file_is_looked_at_alike(tmp_path):
    path = tmp_path / 'own.py'
    path.write_text(f"_base_ = ['{QUICKSTART}']\noptim_wraper = dict(optimizer=dict(lr=9))\n")
    with pytest.raises(ConfigKeyError, match=r'optim_wraper\. Did you mean optim_wrapper'):
        read_config(str(path))
    path.write_text(f"_base_ = ['{QUICKSTART}']\nown_variable = dict(a=1)\nval_dataloader = dict(batch_sice=1)\n")
    with pytest.raises(ConfigKeyError, match=r'val_dataloader\.batch_sice'):
        read_config(str(path))


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configs_of_the_project_pass_and_keep_their_promises(path):
    """docs/configs.md: a top-level variable changes wherever the config uses it under that name."""
    config = read_config(str(path))
    changed = read_config(str(path), {'batch_size': 3})
    assert changed.train_dataloader.batch_size == 3
    if 'data_root' in config:
        changed = read_config(str(path), {'data_root': '/elsewhere'})
        for loader in (changed.train_dataloader, changed.val_dataloader, changed.test_dataloader):
            assert loader.dataset.data_root == '/elsewhere'
    rate = read_config(str(path), {'optim_wrapper.optimizer.lr': 1e-5})
    assert rate.optim_wrapper.optimizer.lr == 1e-5


@pytest.mark.parametrize(
    ('option', 'value'),
    [('train_cfg.max_epochs', -1), ('train_cfg.max_epochs', 0), ('train_dataloader.batch_size', 0), ('batch_size', -2)],
)
def test_numbers_below_their_least(option, value):
    with pytest.raises(ConfigKeyError, match=f'is at least 1; found {value}'):
        read_config(QUICKSTART, {option: value})


@pytest.mark.parametrize(
    ('option', 'value', 'words'),
    [
        ('model.backbone.adapters.rank', -1, 'Ranks of adapters are integers from 0'),
        ('model.backbone.adapters.task_rank', 1.5, 'Ranks of adapters are integers from 0'),
        ('model.slimming.samples', -1, r'slimming\.samples is at least 0; found -1'),
        ('model.slimming.multiple', 0, r'slimming\.multiple is at least 1; found 0'),
        ('model.tasks.semseg.loss_weight', -1.0, 'loss_weight of a SemanticSegmentation is 0 or more'),
    ],
)
def test_numbers_that_a_constructor_refuses(option, value, words):
    init_default_scope('mtl')
    config = Config.fromfile(QUICKSTART)
    change_options(config, {option: value})
    with pytest.raises(ValueError, match=words):
        MODELS.build(copy.deepcopy(config.model))


def test_arguments():
    class Base:
        def __init__(self, a, b=1):
            pass

    class Child(Base):
        def __init__(self, c, *args, **kwargs):
            pass

    class Open:
        def __init__(self, a, **anything):
            pass

    assert arguments_of(Child) == {'a', 'b', 'c'}
    assert arguments_of(Open) is None
    assert arguments_of('nobody_registered_this') is None
    assert {'loss_weight', 'classes'} <= arguments_of('SemanticSegmentation')
    assert {'mode', 'recipe'} <= arguments_of('BoundaryMetric')  # a function
    assert TASKS.get('Depth') is not None
    check_config(Config(dict(anything=dict(type='unknown', key=1))))
