"""Exported files give the network's numbers, say what they mean, and need nothing of the package."""

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mtl.apis import MultiTaskInferencer
from mtl.checkpoints.restoring import restore_model
from mtl.deploy import parity

TOOLS = Path(__file__).resolve().parents[3] / 'tools'
HRNET = "decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16)"
TASK_EXPERT = "decoder=dict(type='TaskExpertDecoder', channels=8, experts=2)"
EXTRA = """
model['data_preprocessor'].update(mean=[100.0, 110.0, 120.0], std=[50.0, 60.0, 70.0])
test_dataloader = dict(
    dataset=dict(pipeline=[dict(type='LoadImage'), dict(type='Resize', size=(48, 64)), dict(type='Pack')])
)
"""


@pytest.fixture
def run_of(trained_run, tmp_path):
    """``run_of(adapters, decoder, more)``: config and checkpoint of a micro network with preprocessing."""

    def make(adapters='', decoder=HRNET, more=''):
        path, _, _ = trained_run(adapters)
        path.write_text(path.read_text().replace(HRNET, decoder) + EXTRA + more)
        config = Config.fromfile(path)
        torch.manual_seed(1)
        model = restore_model(dict(state_dict=_random_state(config)), config)
        meta = dict(cfg=config.pretty_text)
        torch.save(dict(state_dict=model.state_dict(), meta=meta), tmp_path / 'epoch_1.pth')
        return path, tmp_path / 'epoch_1.pth', model

    return make


def _random_state(config):
    from mtl.checkpoints.restoring import build_for_checkpoint

    model = build_for_checkpoint(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.3)
    return model.state_dict()


def onnx_logits(path, image):
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, map(torch.from_numpy, session.run(None, {'image': image.numpy()})), strict=True))


def assert_same(model, image, found, tasks):
    assert list(found) == list(tasks)
    with torch.no_grad():
        expected = model.logits(image, tasks)
    for task in tasks:
        largest = expected[task].abs().max()
        assert (found[task] - expected[task]).abs().max() <= 1e-4 * largest
        assert largest > 0.1  # not a comparison of zeros


@pytest.mark.parametrize('decoder', [HRNET, TASK_EXPERT], ids=['HRNet', 'TaskExpert'])
def test_onnx_of_one_size(run_tool, run_of, tmp_path, decoder):
    config, checkpoint, model = run_of(decoder=decoder)
    status, output, error = run_tool('deploy/export', config, checkpoint, tmp_path / 'out' / 'model.onnx')
    assert status == 0, error
    printed = re.findall(r'(semseg|normals) +(random|photograph) 1x3x48x64 +absolute (\S+), relative (\S+)', output)
    assert len(printed) == 4
    assert all(0 <= float(relative) < 1e-4 for *_, relative in printed)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['model.onnx']

    onnx.checker.check_model(tmp_path / 'out' / 'model.onnx', full_check=True)
    image = torch.randn(1, 3, 48, 64)
    assert_same(model, image, onnx_logits(tmp_path / 'out' / 'model.onnx', image), ('semseg', 'normals'))

    stored = onnx.load(tmp_path / 'out' / 'model.onnx')
    about = {entry.key: json.loads(entry.value) for entry in stored.metadata_props}
    assert about['input'] == dict(
        name='image', colours='rgb', mean=[100, 110, 120], std=[50, 60, 70], size=[48, 64], keep_ratio=False
    )
    assert about['tasks']['semseg']['classes'] == ['floor', 'wall', 'box']
    assert about['tasks']['normals']['prediction'] == 'direction'
    shape = [axis.dim_value for axis in stored.graph.input[0].type.tensor_type.shape.dim]
    assert shape == [1, 3, 48, 64]


@pytest.mark.slow
@pytest.mark.parametrize('decoder', [HRNET, TASK_EXPERT], ids=['HRNet', 'TaskExpert'])
def test_onnx_of_any_size_and_number_of_images(run_tool, run_of, tmp_path, decoder):
    config, checkpoint, model = run_of(decoder=decoder)
    arguments = (config, checkpoint, tmp_path / 'model.onnx', '--dynamic-batch', '--dynamic-size', '--merge')
    status, output, error = run_tool('deploy/export', *arguments)
    assert status == 0, error
    assert 'keep their adapters' in output
    assert 'photograph 2x3x33x83' in output
    for shape in ((1, 3, 48, 64), (2, 3, 57, 101), (3, 3, 160, 17), (1, 3, 3, 2)):
        image = torch.randn(shape)
        assert_same(model, image, onnx_logits(tmp_path / 'model.onnx', image), ('semseg', 'normals'))
    session = onnxruntime.InferenceSession(str(tmp_path / 'model.onnx'))
    for value in (*session.get_inputs(), *session.get_outputs()):
        assert value.shape[:1] + value.shape[2:] == ['batch', 'height', 'width']


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'load'), [('torchscript', torch.jit.load), ('torch-export', torch.export.load)])
def test_formats_of_torch(run_tool, run_of, tmp_path, kind, load):
    config, checkpoint, model = run_of("base_input='task'")
    path = tmp_path / 'model.pt2'
    arguments = (config, checkpoint, path, '--format', kind, '--dynamic-batch', '--dynamic-size', '--tasks', 'normals')
    status, output, error = run_tool('deploy/export', *arguments)
    assert status == 0, error
    assert 'semseg' not in output
    extra = {'metadata.json': ''}
    loaded = load(str(path), **{'_extra_files' if kind == 'torchscript' else 'extra_files': extra})
    assert list(json.loads(extra['metadata.json'])['tasks']) == ['normals']
    network = loaded.module() if kind == 'torch-export' else loaded
    for shape in ((1, 3, 48, 64), (2, 3, 57, 101)):
        image = torch.randn(shape)
        assert_same(model, image, {'normals': network(image)[0]}, ('normals',))


@pytest.mark.slow
def test_two_widths(run_tool, run_of, tmp_path):
    """Of a slimmable network: each width is a smaller file with the numbers of that width."""
    slimmable = 'model.update(slimming=dict(multiple=1))\n'
    config, checkpoint, model = run_of(decoder=TASK_EXPERT, more=slimmable)
    sizes = []
    for width in ('full', 'small'):
        path = tmp_path / f'{width}.onnx'
        status, _, error = run_tool('deploy/export', config, checkpoint, path, '--width', width)
        assert status == 0, error
        image = torch.randn(1, 3, 48, 64)
        with model.at_width(width):
            assert_same(model, image, onnx_logits(path, image), ('semseg', 'normals'))
        sizes.append(sum(np.prod(tensor.dims) for tensor in onnx.load(path).graph.initializer))
    assert sizes[1] < 0.8 * sizes[0]


def test_a_file_that_differs_is_not_kept(run_tool, run_of, tmp_path, monkeypatch):
    config, checkpoint, _ = run_of()
    monkeypatch.setattr(parity, 'TOLERANCE', 0.0)
    (tmp_path / 'out').mkdir()
    arguments = (config, checkpoint, tmp_path / 'out' / 'model.pt2', '--format', 'torch-export')
    status, output, _ = run_tool('deploy/export', *arguments)
    assert 'differs from the network' in str(status)
    assert 'Wrote' not in output
    assert not list((tmp_path / 'out').iterdir())


def test_wrong_inputs_are_sentences(run_tool, run_of, tmp_path):
    config, checkpoint, _ = run_of()
    for arguments, words in (
        ((config, checkpoint, 'm.onnx', '--tasks', 'depth'), 'semseg, normals'),
        ((config, 'nowhere.pth', 'm.onnx'), 'nowhere.pth'),
        (('nowhere.py', checkpoint, 'm.onnx'), 'nowhere.py'),
        ((config, tmp_path / 'base.pth', 'm.onnx'), 'do not fit'),
        ((config, checkpoint, 'm.onnx', '--width', 'small'), 'one width only'),
    ):
        status, _, error = run_tool('deploy/export', *arguments)
        assert status == 2
        assert words in error
    config.write_text(config.read_text() + "del model['data_preprocessor']\n")
    status, _, error = run_tool('deploy/export', config, checkpoint, 'm.onnx')
    assert status == 2
    assert 'MultiTaskDataPreprocessor' in error


def run_onnx(*arguments):
    """The tool where neither torch nor the package can be imported."""
    code = (
        'import sys, runpy; '
        "sys.modules.update(dict.fromkeys(('torch', 'mtl', 'mmengine', 'timm'))); "
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    script = TOOLS / 'deploy' / 'run_onnx.py'
    # not in `sys.argv` of the script: its own name
    code = code.replace('runpy.run_path(sys.argv[1]', 'sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0]')
    command = [sys.executable, '-c', code, script, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def test_run_onnx_gives_the_maps_of_the_inferencer(run_tool, run_of, tmp_path):
    config, checkpoint, _ = run_of()
    status, _, error = run_tool('deploy/export', config, checkpoint, tmp_path / 'model.onnx')
    assert status == 0, error
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'picture.png'), cv2.resize(coarse, (90, 70)))
    result = run_onnx(tmp_path / 'model.onnx', tmp_path / 'picture.png', '--out', tmp_path / 'drawn')
    assert result.returncode == 0, result.stderr

    inferencer = MultiTaskInferencer(checkpoint, keep_ratio=False, show_progress=False)
    expected = inferencer(str(tmp_path / 'picture.png'))['predictions']
    maps = np.load(tmp_path / 'drawn' / 'picture.npz')
    assert set(maps) == set(expected)
    assert (maps['semseg'] == expected['semseg']).mean() > 0.999
    np.testing.assert_allclose(maps['normals'], expected['normals'], atol=1e-3)
    for task in expected:
        assert cv2.imread(str(tmp_path / 'drawn' / f'picture.{task}.png')).shape == (70, 90, 3)

    (tmp_path / 'text.onnx').write_text('no network')
    for arguments, words in (
        ((tmp_path / 'model.onnx', tmp_path / 'text.onnx', '--out', tmp_path), 'is not an image'),
        ((tmp_path / 'text.onnx', tmp_path / 'picture.png', '--out', tmp_path), 'not an ONNX file'),
        ((tmp_path / 'nowhere.onnx', tmp_path / 'picture.png', '--out', tmp_path), 'no file'),
        ((tmp_path / 'model.onnx', tmp_path / 'picture.png', '--out', tmp_path, '--size', 64, 64), '--dynamic-size'),
    ):
        result = run_onnx(*arguments)
        assert result.returncode == 2
        assert words in result.stderr
        assert 'Traceback' not in result.stderr
