"""The config in a checkpoint is data: it is parsed, never run."""

import math
import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mtl.checkpoints import set_checkpoint_loading
from mtl.checkpoints.config_text import ConfigTextError, read_config_text
from mtl.checkpoints.restoring import stored_config
from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('name', ['quickstart', 'mtlora_swin_nyud', 'baselines/full_finetune_swin_pascal'])
def test_what_runs_write_is_read(name, pytestconfig):
    config = Config.fromfile(pytestconfig.rootpath / 'configs' / f'{name}.py')
    read = read_config_text(config.pretty_text)
    assert read.to_dict() == config.to_dict()
    assert read.pretty_text == config.pretty_text


def test_all_kinds_of_values():
    read = read_config_text(
        "a = -1.5e3\nj = inf\nk = [nan]\nb = dict(c=(1, 2), d=[None, True, 'x' 'y'], e={'f-g': dict({'h-i': {1, 2}})})"
    )
    assert read.a == -1500.0
    assert read.b.to_dict() == dict(c=(1, 2), d=[None, True, 'xy'], e={'f-g': {'h-i': {1, 2}}})
    assert read.j == math.inf
    assert math.isnan(read.k[0])


@pytest.mark.parametrize(
    'text',
    [
        "open('proof', 'w').write('it ran')",
        "a = open('proof', 'w')",
        "a = dict(b=[__import__('os').system('touch proof')])",
        'import os',
        "a = (lambda: open('proof', 'w'))()",
        "a = [open(x, 'w') for x in ['proof']]",
        "a.b = 'c'",
        "a = f'{1 + 1}'",
        'a = (',
    ],
)
def test_code_is_refused_and_does_not_run(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigTextError, match=r'holds more than values|cannot be parsed'):
        read_config_text(text)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def trusted():
    set_checkpoint_loading(trust=True)
    yield
    set_checkpoint_loading()


def test_modules_of_ones_own_are_imported_where_files_are_trusted(tmp_path, monkeypatch, trusted):
    text = "custom_imports = dict(imports=['my_own_task_module'])\n"
    with pytest.raises(ConfigTextError, match='PYTHONPATH'):
        read_config_text(text)
    (tmp_path / 'my_own_task_module.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_config_text(text).custom_imports.imports == ['my_own_task_module']


def test_no_module_is_imported_otherwise(tmp_path, monkeypatch):
    (tmp_path / 'evil_module.py').write_text(f"open({str(tmp_path / 'mark')!r}, 'w')")
    monkeypatch.syspath_prepend(str(tmp_path))
    for imports in ("dict(imports=['json', 'evil_module'])", "dict(imports='evil_module')", "'evil_module'"):
        with pytest.raises(ConfigTextError, match=r"would import 'evil_module'.*--trust"):
            read_config_text(f'custom_imports = {imports}\n')
    assert not (tmp_path / 'mark').exists()
    read_config_text("custom_imports = dict(imports=['json'])\n")  # is there already


@pytest.mark.parametrize(
    ('text', 'where'),
    [
        ("model = dict(tasks=dict(a=dict(type='subprocess.call', args='true')))", 'model.tasks.a.type'),
        ("model = dict(tasks=dict(a=dict(_scope_='os', type='Depth')))", 'model.tasks.a._scope_'),
        (
            "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage'), dict(type='os.system')]))",
            'pipeline.1',
        ),
        ("default_scope = 'os'", 'default_scope'),
        ("model = dict(type='antigravity')", 'model.type'),  # a module of Python's own, which opens a browser
        ("model = dict(type='mmseg.os.system')", 'model.type'),
        ("model = dict(type='mtl.registry.TASKS.build')", 'model.type'),
        ("hooks = ([dict(type='torch.hub.load')],)", 'hooks.0.0.type'),
    ],
)
def test_only_registered_names_are_built(text, where):
    with pytest.raises(ConfigTextError, match=rf'would build .*{re.escape(where)}.*--trust'):
        read_config_text(text)


def test_every_config_of_the_project_passes():
    for path in sorted((ROOT / 'configs').rglob('*.py')):
        if '_base_' not in path.parts:
            config = Config.fromfile(path)
            assert read_config_text(config.pretty_text).to_dict() == config.to_dict()


def test_yaml_makes_no_objects(tmp_path):
    mark = tmp_path / 'mark'
    (tmp_path / 'evil.yaml').write_text(f'a: !!python/object/apply:os.mkdir ["{mark}"]\n')
    (tmp_path / 'child.yml').write_text('_base_: evil.yaml\nb: 1\n')
    for name in ('evil.yaml', 'child.yml'):
        with pytest.raises(UsageError, match='cannot be read'):
            read_config(str(tmp_path / name))
    assert not mark.exists()
    (tmp_path / 'good.yaml').write_text('model: {type: MultiTaskModel}\n')
    assert read_config(str(tmp_path / 'good.yaml')).model.type == 'MultiTaskModel'


def test_tasks_keep_the_order_of_the_network():
    """The text sorts keys by the alphabet; the heads tell the order the network was built in."""
    text = "model = dict(tasks=dict(depth=dict(type='Depth'), edge=dict(type='Boundary')))"
    state = {'heads.edge.weight': 0, 'heads.edge.bias': 0, 'heads.depth.weight': 0}
    assert list(stored_config(dict(meta=dict(cfg=text), state_dict=state)).model.tasks) == ['edge', 'depth']
    assert list(stored_config(dict(meta=dict(cfg=text))).model.tasks) == ['depth', 'edge']
