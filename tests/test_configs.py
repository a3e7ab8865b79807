"""Every config that comes with the project: complete, buildable, opened by the command that runs it."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mtl.datasets import MultiTaskDataset
from mtl.engine.optim.constructor import parameter_groups
from mtl.evaluation import MultiTaskEvaluator
from mtl.registry import DATASETS, EVALUATOR, MODELS, TRANSFORMS
from mtl.tasks import build_tasks

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    path.relative_to(ROOT) for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.relative_to(ROOT).parts
)


@pytest.fixture(scope='module', params=CONFIGS, ids=str)
def path(request):
    return request.param


@pytest.fixture(scope='module')
def config(path):
    init_default_scope('mtl')
    return Config.fromfile(ROOT / path)


def test_there_are_configs():
    assert {'quickstart.py', 'mtlora_swin_pascal.py', 'mtlora_swin_nyud.py', 'mtlora_swin_ccp.py'} <= {
        path.name for path in CONFIGS
    }


def test_it_opens_with_its_command(path):
    head = (ROOT / path).read_text().split('\n_base_')[0]
    assert f'python tools/train.py {path}' in head


def test_at_most_three_levels_of_inheritance(path):
    def depth(file):
        base = Config._get_base_files(str(file))
        return 1 + max((depth(file.parent / b) for b in base), default=0)

    assert depth(ROOT / path) <= 3


def parts(loader):
    """The data sets of a loader: itself, or those that are joined."""
    return loader.dataset.datasets if loader.dataset.type == 'ConcatDataset' else [loader.dataset]


def test_one_set_of_tasks_throughout(config):
    """Joined data sets teach a part of the tasks each, and all of them together."""
    tasks = config.model.tasks
    assert config.tasks == tasks
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        for dataset in parts(loader):
            assert all(tasks[name] == task for name, task in dataset.tasks.items())
    assert {name for dataset in parts(config.train_dataloader) for name in dataset.tasks} == set(tasks)
    assert config.val_evaluator.tasks == config.test_evaluator.tasks == config.val_dataloader.dataset.tasks
    if len(parts(config.train_dataloader)) == 1:
        assert config.val_dataloader.dataset.tasks == tasks


def test_the_model_builds_and_trains_something(config):
    config.model.backbone.update(pretrained=None, allow_random_init=True)
    if (
        '_large_' in config.model.backbone.model or 'dino' in config.model.backbone.model
    ):  # fewer blocks: seconds instead of minutes, gigabytes less
        config.model.backbone.update(
            dict(depth=4) if 'vit' in config.model.backbone.model else dict(depths=(1, 1, 2, 1))
        )
    model = MODELS.build(config.model)
    assert tuple(model.tasks) == tuple(config.tasks)
    assert sum(p.numel() for group in parameter_groups(model) for p in group['params']) > 0
    trains_whole = config.model.backbone.trainable == 'all'
    assert all(parameter.requires_grad for parameter in model.backbone.parameters()) == trains_whole


def test_pipelines_and_evaluators_build(config):
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        for dataset in parts(loader):
            assert issubclass(DATASETS.get(dataset.type), MultiTaskDataset)
            assert [TRANSFORMS.build(step) for step in dataset.pipeline]
    evaluator = EVALUATOR.build(config.val_evaluator)
    assert isinstance(evaluator, MultiTaskEvaluator)
    assert [metric.task.name for metric in evaluator.metrics] == list(build_tasks(config.val_evaluator.tasks))


def test_validation_counts_no_image_twice(config):
    assert config.val_dataloader.sampler.round_up is False
    assert config.val_dataloader.dataset.test_mode


def test_epochs_can_be_repeated(config):
    """What resuming exactly needs: workers that end with the epoch, seeded from torch."""
    assert config.train_dataloader.persistent_workers is False
    assert config.train_dataloader.worker_init_fn.type == 'seed_worker'
    assert config.default_hooks.seed.type == 'SeedHook'
    assert config.randomness.seed is not None
