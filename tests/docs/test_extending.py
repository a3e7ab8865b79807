"""The examples of docs/extending: short, whole on their pages, and run through all that follows, the package as it is.

Each config is made small here (64 x 64, two tasks, two scenes, a network of a few blocks) and then run by the tools.
"""

import json
import re

import pytest
import torch
from doc_blocks import ROOT
from forked import run_script
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mtl.checkpoints.restoring import build_for_checkpoint, restore_model
from mtl.cli.shared.configs import keep_tasks
from mtl.protocols import adapter_layers
from mtl.registry import MODELS
from mtl.search.cost_table import CostTable
from mtl.writing import write_checkpoint

EXTENDING = ROOT / 'docs/extending'
EXAMPLES = EXTENDING / 'examples'
FILES = sorted(EXAMPLES.glob('*.py'))
CONFIGS = sorted(path.stem for path in EXAMPLES.glob('with_*.py'))
PAGES = {  # of each example: the page that shows its files
    'adapter': ['ia3', 'with_ia3'],
    'backbone': ['conv_pyramid', 'with_conv_pyramid'],
    'data_set': ['file_table', 'with_file_table'],
    'decoder': ['sum_decoder', 'with_sum_decoder'],
    'loss_weighting': ['auxiliary_weighting', 'with_auxiliary_weighting'],
    'slimmable_part': ['slim_sum_decoder', 'with_slim_sum_decoder'],
    'task': ['shading', 'with_shading'],
}
TASKS = {'with_shading': ('saliency', 'shading')}  # else saliency and normals
SMALL_SWIN = dict(embed_dim=16, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8))
# what training has moved from where it began: (parameters, the value of all of them at the start)
LEARNT = {
    'with_ia3': (r'backbone\..*\.(scale|tasks\.\w+)', 0.0),
    'with_auxiliary_weighting': (r'loss_weighting\.scale\.\w+', 1.0),
    'with_conv_pyramid': (r'backbone\..*\.shared\.B', 0.0),
    'with_slim_sum_decoder': (r'decoder\.norms\.\w+\.bias', 0.0),
    'with_sum_decoder': (r'decoder\.norms\.\w+\.bias', 0.0),
}


@pytest.fixture(params=CONFIGS)
def name(request):
    return request.param


@pytest.fixture
def config(name, monkeypatch):
    """The config of an example, made small."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    init_default_scope('mtl')
    config = Config.fromfile(EXAMPLES / f'{name}.py')
    keep_tasks(config, TASKS.get(name, ('saliency', 'normals')))
    config.model.init_cfg = None
    config.model.backbone.update(pretrained=None, allow_random_init=True)
    if config.model.backbone.type == 'SwinBackbone':
        config.model.backbone.update(SMALL_SWIN)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.update(batch_size=2, num_workers=0)
        if loader.dataset.type == 'MiniScenes':
            loader.dataset.update(num_train=2, num_val=2, size=(64, 64))
        for step in loader.dataset.pipeline:
            if 'size' in step:
                step.size = (64, 64)
    config.train_cfg.update(max_epochs=1, val_interval=1)
    config.param_scheduler = []  # the only step has the whole rate
    return config


# ---- quick ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)
def test_it_is_short(path):
    assert len(path.read_text().splitlines()) < 60


def test_every_example_has_its_page():
    shown = {name for names in PAGES.values() for name in names}
    assert shown == {path.stem for path in FILES} - {'own_folder', 'two_data_sets'}
    for page, names in PAGES.items():
        text = (EXTENDING / f'{page}.md').read_text()
        for name in names:
            file = EXAMPLES / f'{name}.py'
            block = f'<!-- {file.relative_to(ROOT)} -->\n```python\n{file.read_text()}```\n'
            assert block in text, f'{page}.md does not show {file.name} as it is'
        assert f']({page}.md)' in (EXTENDING / 'index.md').read_text()


def test_it_builds(name, config):
    model = MODELS.build(config.model)
    with torch.no_grad():
        logits = model(torch.zeros(1, 3, 40, 72))
    assert {task: values.shape[-2:] for task, values in logits.items()} == dict.fromkeys(model.tasks, (40, 72))
    alone = list(model.tasks)[1:]
    assert list(model(torch.zeros(1, 3, 40, 72), tasks=alone)) == alone
    assert (
        CostTable(model, (64, 64)).of(model.space.small)['macs']
        < CostTable(model, (64, 64)).of(model.space.full)['macs']
    )


# ---- slow: everything that follows ----------------------------------------------------------------------------------


@pytest.fixture
def tool(tmp_path):
    """``tool('train.py', *arguments)`` runs it in an empty folder and gives what it printed."""

    def run(script, *arguments):
        log = tmp_path / 'log.txt'
        words = [str(ROOT / 'tools' / script), *map(str, arguments)]
        status = run_script(words, tmp_path, log, {'HF_HUB_OFFLINE': '1', 'PYTHONPATH': str(EXAMPLES)})
        printed = log.read_text(errors='replace')
        assert status == 0, printed[-4000:]
        return printed

    return run


def make_table(folder, tool):
    """The files and lists of ``file_table.py``, one image without normals."""
    tool('make_mini_scenes.py', 'pascal', folder, '--num-train', 2, '--num-val', 2)
    for split in ('train', 'val'):
        lines = ['image,saliency,normals']
        for index, name in enumerate((folder / f'ImageSets/Context/{split}.txt').read_text().split()):
            normals = '' if split == 'train' and index == 0 else f'normals_distill/{name}.png'
            lines.append(f'JPEGImages/{name}.jpg,sal_distill/{name}.png,{normals}')
        (folder / f'{split}.csv').write_text('\n'.join(lines) + '\n')


def changed_adapters(checkpoint, config):
    """Write random adapters into a checkpoint, so that nothing of them hides behind a start at zero."""
    file = torch.load(checkpoint, weights_only=False)
    model = restore_model(file, config)
    torch.manual_seed(0)
    with torch.no_grad():
        for _, layer in adapter_layers(model):
            for parameter in layer.adapter_parameters():
                nn.init.normal_(parameter, std=0.02)
    write_checkpoint(checkpoint, {**file, 'state_dict': model.state_dict()})


def largest_difference(printed):
    return float(re.search(r'Largest difference of a logit: (\S+?)\.\s', printed)[1])


@pytest.mark.slow
def test_it_runs_through_everything(name, config, tool, tmp_path):
    run, checkpoint = tmp_path / 'run.py', tmp_path / 'work/epoch_1.pth'
    config.dump(run)
    if config.train_dataloader.dataset.type == 'FileTable':
        make_table(tmp_path / 'data/own', tool)

    tool('train.py', run, '--work-dir', tmp_path / 'work')
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    model = build_for_checkpoint(config)
    if name in LEARNT:
        pattern, start = LEARNT[name]
        trained = [key for key, value in model.named_parameters() if value.requires_grad and re.fullmatch(pattern, key)]
        assert trained
        assert all((state[key] != start).any() for key in trained)
    (scalars,) = tmp_path.glob('work/*/vis_data/scalars.json')
    logged = {key: value for line in scalars.read_text().splitlines() for key, value in json.loads(line).items()}
    for task in config.tasks:
        assert logged[f'loss/{task}'] > 0
        assert any(key.startswith(f'metric/{task}/') for key in logged)

    costs = CostTable(model, (64, 64))
    full, small = (costs.of(width)['parameters'] for width in (model.space.full, model.space.small))
    adapted = bool(config.model.backbone.get('adapters'))
    if adapted:
        changed_adapters(checkpoint, config)
        printed = tool('deploy/merge_adapters.py', run, checkpoint, tmp_path / 'merged.pth')
        assert largest_difference(printed) < 1e-3
        if name in ('with_ia3', 'with_conv_pyramid'):
            assert 'All adapters are folded into plain layers' in printed

    found = tmp_path / 'found'
    budget = f'params={(full + small) / 2e6:.6f}M'
    tool('search_width.py', run, checkpoint, '--budget', budget, '--evaluations', 2, '--images', 2, '--out', found)
    best = json.loads((found / 'front.json').read_text())['best']
    assert best['parameters'] <= (full + small) / 2

    merge = ['--merge'] if adapted else []
    printed = tool(
        'deploy/materialize.py', run, checkpoint, tmp_path / 'small.pth', '--width', found / 'width.json', *merge
    )
    assert largest_difference(printed) < 1e-3
    tool('deploy/export.py', tmp_path / 'small.py', tmp_path / 'small.pth', tmp_path / 'small.onnx')
    assert (tmp_path / 'small.onnx').is_file()  # it gives the numbers of the network, or it is not written
