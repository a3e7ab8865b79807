"""A stranger's file through the tools: a sentence, and nothing in it runs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / 'a.png'
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)
    return path


def with_config(checkpoint, path, change):
    """A checkpoint whose config ``change`` has changed."""
    stored = torch.load(checkpoint, weights_only=True)
    stored['meta']['cfg'] = change(stored['meta']['cfg'])
    torch.save(stored, path)
    return path


def commands(photograph, checkpoint):
    yield 'image_demo', (photograph, checkpoint)
    yield 'web_demo', (checkpoint,)
    yield 'misc/publish_checkpoint', (checkpoint, 'out.pth')
    yield 'analysis/print_config', (checkpoint,)


def changes(mark):
    pipeline = f"test_dataloader = dict(dataset=dict(pipeline=[dict(type='os.system', command='touch {mark}')]))\n"
    yield 'os.system', lambda text: text + pipeline
    task = f"dict(type='subprocess.call', args=['touch', '{mark}'])"
    yield 'subprocess.call', lambda text: text + f'model = dict(tasks=dict(semseg={task}))\n'
    yield 'evil_module', lambda text: text + "custom_imports = dict(imports=['evil_module'])\n"
    yield 'holds more than values', lambda text: text + f"x = open('{mark}', 'w')\n"


def test_a_config_in_a_checkpoint_runs_nothing(run_tool, trained_run, photograph, tmp_path, monkeypatch):
    _, checkpoint, _ = trained_run()
    mark = tmp_path / 'mark'
    (tmp_path / 'evil_module.py').write_text(f'open({str(mark)!r}, "w")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    for words, change in changes(mark):
        evil = with_config(checkpoint, tmp_path / 'evil.pth', change)
        for tool, arguments in commands(photograph, evil):
            status, _, error = run_tool(tool, *arguments)
            assert status == 2, (tool, error)
            assert words in error
            assert 'Traceback' not in error
            assert not mark.exists(), tool


def test_files_that_are_no_checkpoints(run_tool, trained_run, photograph, tmp_path):
    """Trust is not advised where there is nothing to trust."""
    config, checkpoint, _ = trained_run()
    (tmp_path / 'empty.pth').touch()
    (tmp_path / 'text.pth').write_text('weights')
    (tmp_path / 'cut.pth').write_bytes(checkpoint.read_bytes()[:-1000])
    damaged = bytearray(checkpoint.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (tmp_path / 'damaged.pth').write_bytes(damaged)
    for name in ('empty.pth', 'text.pth', 'cut.pth', 'damaged.pth', 'a.png'):
        with_config_of_ones_own = [
            (f'deploy/{tool}', (config, tmp_path / name, 'out.pth')) for tool in ('export', 'merge_adapters')
        ]
        others = [('misc/export_backbone', (tmp_path / name, 'out.safetensors'))]
        for tool, arguments in [*commands(photograph, tmp_path / name), *with_config_of_ones_own, *others]:
            if tool in ('analysis/print_config', 'image_demo') and name == 'a.png':
                continue  # they take it for a config, and for a second photograph
            for trust in ((), ('--trust',)) if tool != 'misc/export_backbone' else ((),):
                status, _, error = run_tool(tool, *arguments, *trust)
                assert status == 2, (tool, name, error)
                assert name in error
                assert '--trust' not in error
                assert 'Traceback' not in error


def test_names_in_an_onnx_file_choose_no_path(tmp_path, photograph):
    onnx = pytest.importorskip('onnx')
    node = onnx.helper.make_node('Identity', ['image'], ['../../evil'])
    shape = [1, 3, 8, 8]
    graph = onnx.helper.make_graph(
        [node],
        'g',
        [onnx.helper.make_tensor_value_info('image', 1, shape)],
        [onnx.helper.make_tensor_value_info('../../evil', 1, shape)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid('', 17)], ir_version=8)
    about = dict(
        input=dict(name='image', colours='rgb', mean=[0] * 3, std=[1] * 3, size=[8, 8], keep_ratio=False),
        tasks={'../../evil': dict(prediction='direction')},
    )
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in about.items()})
    onnx.save(model, tmp_path / 'evil.onnx')
    (tmp_path / 'a/b').mkdir(parents=True)
    command = [sys.executable, ROOT / 'tools/deploy/run_onnx.py', tmp_path / 'evil.onnx', photograph, '--out']
    done = subprocess.run([*command, tmp_path / 'a/b'], capture_output=True, text=True)
    assert done.returncode == 2
    assert 'calls a task' in done.stderr
    assert not list(tmp_path.rglob('*evil*.png'))
