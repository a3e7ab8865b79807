"""Other backends give PyTorch's answers, at every width and for some tasks, and say what they need."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mtl.apis import InputError, MultiTaskInferencer
from mtl.apis.backends import BACKENDS, backend_named
from mtl.apis.inputs import Pictures
from mtl.models.slimmable import WidthConfig

ROOT = Path(__file__).resolve().parents[2]
OTHERS = [name for name in BACKENDS if name != 'pytorch']


def pair(checkpoint, backend):
    """Inferencers of one checkpoint: by PyTorch, and by another backend."""
    return [MultiTaskInferencer(checkpoint, show_progress=False, backend=name) for name in ('pytorch', backend)]


def assert_same(found, expected):
    assert list(found) == list(expected)
    for task, values in expected.items():
        assert (found[task] - values).abs().max() <= 1e-4 * values.abs().max(), task
        assert values.abs().max() > 0.01  # not a comparison of zeros


def logits(inferencer, image, tasks=None, width=None):
    inputs = inferencer.packed(list(Pictures(image)))
    return inferencer.backend.logits(inferencer.model.data_preprocessor(inputs, False)['inputs'], tasks, width)


@pytest.mark.parametrize('backend', OTHERS)
def test_widths_and_tasks(slimmable, picture, backend):
    oracle, other = pair(slimmable, backend)
    space = oracle.model.space
    drawn = WidthConfig((0.25, 1.0), {task: 0.5 if task == 'depth' else 1.0 for task in space.tasks})
    assert len({space.full, space.small, drawn}) == 3
    for width in (None, space.small, drawn):
        for tasks in (None, ('semseg', 'depth')):
            assert_same(logits(other, picture(), tasks, width), logits(oracle, picture(), tasks, width))
    assert_same(logits(oracle, picture()), logits(oracle, picture(), width=None))  # the network is as it was


@pytest.mark.slow
@pytest.mark.parametrize('backend', OTHERS)
def test_maps_of_a_folder(run, folder, backend):
    """Images of several shapes and batches, from a checkpoint with adapters."""
    cv2.imwrite(str(folder / '4.png'), cv2.resize(cv2.imread(str(folder / '1.png')), (64, 96)))
    oracle, other = (each(folder, batch_size=2) for each in pair(run / 'epoch_3.pth', backend))
    assert other['names'] == oracle['names'] == ['1', '2', '4', '10']
    assert list(other['skipped']) == list(oracle['skipped'])
    for found, expected in zip(other['predictions'], oracle['predictions'], strict=True):
        assert (found['semseg'] == expected['semseg']).mean() > 0.999
        for task in ('saliency', 'normals', 'edge', 'depth'):
            np.testing.assert_allclose(found[task], expected[task], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_graphs_are_kept(slimmable, monkeypatch):
    """One of a shape, then one of any; a number of them at most."""
    from mtl.apis.backends import onnxruntime
    from mtl.deploy import export

    made = []

    def noted(*arguments, **options):
        made.append((options['size'], options['dynamic_size'], options['width']))
        return export(*arguments, **options)

    monkeypatch.setattr('mtl.deploy.export', noted)
    monkeypatch.setattr(onnxruntime, 'KEPT', 2)
    _, other = pair(slimmable, 'onnxruntime')
    for shape in ((1, 3, 56, 56), (1, 3, 56, 56), (1, 3, 40, 72), (2, 3, 33, 50), (1, 3, 56, 56)):
        found = other.backend.logits(torch.zeros(shape), ['depth'])['depth']
        assert found.shape == (shape[0], 1, *shape[2:])
    assert made == [((56, 56), False, None), ((40, 72), True, None)]
    assert other.backend.preparation > 0
    small = other.model.space.small
    other.backend.prepared((1, 3, 56, 56), ['depth'], small)  # the graph of 56 x 56 goes, the one of any shape stays
    other.backend.prepared((1, 3, 56, 56), ['depth'])
    assert made[2:] == [((56, 56), False, small)]


@pytest.mark.slow
def test_a_network_that_is_of_one_size(slimmable, monkeypatch):
    from mtl.deploy import export

    def refused(*arguments, **options):
        if options['dynamic_size']:
            raise RuntimeError('no symbols\nfor sizes')
        return export(*arguments, **options)

    warned = []
    monkeypatch.setattr('mtl.deploy.export', refused)
    monkeypatch.setattr('mtl.apis.backends.onnxruntime.print_log', lambda text, *_: warned.append(text))
    oracle, other = pair(slimmable, 'onnxruntime')
    for shape in ((1, 3, 56, 56), (1, 3, 40, 72), (2, 3, 40, 72)):
        image = torch.randn(shape)
        assert_same(other.backend.logits(image, ['depth']), oracle.backend.logits(image, ['depth']))
    (warning,) = warned
    assert 'One graph for each size' in warning
    assert '(no symbols)' in warning


def test_what_is_missing_is_told(run, monkeypatch):
    with pytest.raises(InputError, match='onnxruntime, pytorch; found'):
        MultiTaskInferencer(run / 'epoch_3.pth', backend='tensorrt')
    with pytest.raises(InputError, match='onnxruntime runs on the CPU; found the device cuda'):
        MultiTaskInferencer(run / 'epoch_3.pth', backend='onnxruntime', device='cuda')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(InputError, match=r"the extra `export`: pip install 'mtl\[export\]'"):
        MultiTaskInferencer(run / 'epoch_3.pth', backend='onnxruntime')
    assert MultiTaskInferencer(run / 'epoch_3.pth', show_progress=False).backend.title == 'PyTorch'


def test_the_names_import_nothing():
    code = (
        'import sys, mtl.apis.backends; print(sorted({"onnx", "onnxruntime", "onnxscript", "timm"} & set(sys.modules)))'
    )
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    assert done.stdout == '[]\n'
    assert BACKENDS == ('onnxruntime', 'pytorch')
    assert all(backend_named(name).title for name in BACKENDS)


def predict(*arguments, forbidden=()):
    """``mtl predict`` in a process of its own, in which some packages cannot be imported."""
    code = f'import sys; sys.modules.update(dict.fromkeys({forbidden!r})); import mtl.cli; mtl.cli.main()'
    command = [sys.executable, '-c', code, 'predict', *map(str, arguments)]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow
def test_the_command(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    shared = (folder / '1.png', run / 'epoch_3.pth', '--tasks', 'depth', 'normals', '--save-pred')
    for backend in ('pytorch', 'onnxruntime'):
        done = predict(*shared, '--backend', backend, '--out-dir', tmp_path / backend)
        assert done.returncode == 0, done.stderr
        assert ('ONNX Runtime ran; its graphs took' in done.stdout) == (backend == 'onnxruntime')
        assert ('Tracing the network ...' in done.stderr) == (backend == 'onnxruntime')
    for name in ('normals', 'depth'):
        (first, second) = (next((tmp_path / b / 'pred' / name).glob('1.*')) for b in ('pytorch', 'onnxruntime'))
        read = np.load if first.suffix == '.npy' else lambda path: cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_allclose(read(second), read(first), atol=2e-3)


def test_the_command_without_the_package(run, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    shared = (folder / '1.png', run / 'epoch_3.pth', '--out-dir', tmp_path / 'drawn')
    done = predict(*shared, '--backend', 'onnxruntime', forbidden=('onnxruntime',))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith('error: The backend onnxruntime needs the packages')
    assert 'pip install' in done.stderr
    assert 'Traceback' not in done.stderr
    done = predict(*shared, forbidden=('onnxruntime', 'onnx', 'onnxscript'))
    assert done.returncode == 0, done.stderr
