"""From options to a config."""

import argparse

import pytest
from mmengine.config import Config

from mtl.cli.shared.configs import change_options, keep_tasks, resume_from, set_baseline
from mtl.cli.shared.launch import load_config, shared_parser
from mtl.cli.shared.running import UsageError

TASKS = dict(semseg=dict(type='SemanticSegmentation'), normals=dict(type='SurfaceNormals'), depth=dict(type='Depth'))


@pytest.fixture
def config():
    return Config(
        dict(
            data_root='data/a',
            tasks=TASKS,
            model=dict(tasks=TASKS),
            train_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[
                        dict(data_root='data/a', tasks=TASKS),
                        dict(data_root='data/other', tasks=dict(semseg=TASKS['semseg'])),
                    ],
                )
            ),
            val_evaluator=dict(tasks=TASKS, metrics=dict(normals=dict(a=1), depth=dict(b=2))),
            test_evaluator=dict(tasks=TASKS, metrics={}),
            default_hooks=dict(checkpoint=dict(interval=1)),
            work_dir='somewhere',
        )
    )


def test_a_variable_changes_wherever_the_config_used_it(config):
    change_options(config, {'data_root': 'data/b'})
    first, second = config.train_dataloader.dataset.datasets
    assert config.data_root == first.data_root == 'data/b'
    assert second.data_root == 'data/other'  # it had a value of its own


def test_a_dotted_option_changes_one_place(config):
    change_options(config, {'train_dataloader.dataset.type': 'MyDataset'})
    assert config.train_dataloader.dataset.type == 'MyDataset'
    assert config.data_root == 'data/a'


def test_tasks_are_kept_everywhere_in_the_configs_order(config):
    keep_tasks(config, ['depth', 'semseg'])
    first, second = config.train_dataloader.dataset.datasets
    for tasks in (config.tasks, config.model.tasks, first.tasks, config.val_evaluator.tasks):
        assert list(tasks) == ['semseg', 'depth']
    assert list(second.tasks) == ['semseg']
    assert list(config.val_evaluator.metrics) == ['depth']


def test_an_unknown_task_is_refused(config):
    with pytest.raises(UsageError, match="semseg, normals, depth; found 'edge'"):
        keep_tasks(config, ['semseg', 'edge'])


def test_a_baseline_is_compared_with_and_chooses_the_best_checkpoint(config):
    set_baseline(config, 'single.json')
    assert config.val_evaluator.baseline == config.test_evaluator.baseline == 'single.json'
    assert config.default_hooks.checkpoint.save_best == 'delta_m'


def test_resuming_from_an_empty_folder_starts_anew(config, tmp_path):
    config.work_dir = str(tmp_path)
    resume_from(config, 'auto')
    assert 'load_from' not in config
    with pytest.raises(UsageError, match=r'nowhere\.pth'):
        resume_from(config, 'nowhere.pth')


@pytest.mark.parametrize(
    ('flag', 'in_config', 'expected'),
    [('flag', 'config', 'flag'), (None, 'config', 'config'), (None, None, 'work_dirs/some_run')],
)
def test_the_work_dir_comes_from_the_flag_or_the_config_or_the_name(tmp_path, flag, in_config, expected):
    path = tmp_path / 'some_run.py'
    path.write_text(f'work_dir = {in_config!r}\n' if in_config else '')
    args = shared_parser('').parse_args([str(path), *(['--work-dir', flag] if flag else [])])
    assert isinstance(args, argparse.Namespace)
    assert load_config(args).work_dir == expected
