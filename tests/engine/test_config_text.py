"""The config in a checkpoint is data: it is parsed, never run."""

import math

import pytest
from mmengine.config import Config

from mtl.engine.config_text import ConfigTextError, read_config_text
from mtl.engine.publishing import stored_config


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


def test_modules_of_ones_own(tmp_path, monkeypatch):
    text = "custom_imports = dict(imports=['my_own_task_module'])\n"
    with pytest.raises(ConfigTextError, match='PYTHONPATH'):
        read_config_text(text)
    (tmp_path / 'my_own_task_module.py').write_text('')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_config_text(text).custom_imports.imports == ['my_own_task_module']


def test_tasks_keep_the_order_of_the_network():
    """The text sorts keys by the alphabet; the heads tell the order the network was built in."""
    text = "model = dict(tasks=dict(depth=dict(type='Depth'), edge=dict(type='Boundary')))"
    state = {'heads.edge.weight': 0, 'heads.edge.bias': 0, 'heads.depth.weight': 0}
    assert list(stored_config(dict(meta=dict(cfg=text), state_dict=state)).model.tasks) == ['edge', 'depth']
    assert list(stored_config(dict(meta=dict(cfg=text))).model.tasks) == ['depth', 'edge']
