"""Published checkpoints: small, named by their hash, complete without a config."""

import hashlib
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mtl.apis import MultiTaskInferencer
from mtl.checkpoints import load_weights_only
from mtl.checkpoints.adapters_only import put_back_base
from mtl.checkpoints.weights_files import WeightsFileError
from mtl.registry import MODELS


def publish(run_tool, tmp_path, checkpoint, *options):
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, tmp_path / 'published.pth', *options)
    assert status == 0, error
    (path,) = tmp_path.glob('published-*.pth')
    return path


def test_whole(run_tool, trained_run, tmp_path):
    _, checkpoint, _ = trained_run()
    path = publish(run_tool, tmp_path, checkpoint)
    assert path.stem == f'published-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}'
    stored = torch.load(path, weights_only=True)
    assert set(stored) == {'state_dict', 'meta'}
    assert stored['meta']['epoch'] == 3
    assert stored['meta']['tasks']['semseg']['classes'] == ['floor', 'wall', 'box']
    assert len(stored['meta']['tasks']['semseg']['palette']) == 3
    assert stored['meta']['tasks']['normals']['type'] == 'SurfaceNormals'
    config = Config.fromstring(stored['meta']['cfg'], '.py')
    config.model.backbone.pretrained = 'checkpoint'
    MODELS.build(config.model).load_state_dict(stored['state_dict'], strict=True)


def test_adapters_only(run_tool, trained_run, tmp_path):
    _, checkpoint, model = trained_run()
    path = publish(run_tool, tmp_path, checkpoint, '--adapters-only')
    assert path.stat().st_size < 0.6 * checkpoint.stat().st_size
    stored = torch.load(path, weights_only=True)
    config = Config.fromstring(stored['meta']['cfg'], '.py')
    rebuilt = MODELS.build(config.model)  # its base comes from base.pth again
    put_back_base(rebuilt, stored)
    rebuilt.load_state_dict(stored['state_dict'], strict=True)
    for key, value in model.state_dict().items():
        assert torch.equal(rebuilt.state_dict()[key], value)


def test_without_a_config(run_tool, tmp_path):
    torch.save(dict(state_dict={}, meta={}), tmp_path / 'bare.pth')
    status, _, error = run_tool('misc/publish_checkpoint', tmp_path / 'bare.pth', tmp_path / 'out.pth')
    assert status == 2
    assert 'no config' in error


def test_safetensors(run_tool, trained_run, tmp_path):
    """One file with its description, half the size; it draws what the checkpoint draws, but for 16 bits."""
    _, checkpoint, model = trained_run()
    path = tmp_path / 'published.safetensors'
    status, out, error = run_tool('misc/publish_checkpoint', checkpoint, path, '--half')
    assert status == 0, error
    assert str(path) in out
    stored = load_weights_only(path)
    assert stored['meta']['tasks']['semseg']['classes'] == ['floor', 'wall', 'box']
    for key, value in model.state_dict().items():
        kept = stored['state_dict'][key]
        exact = value.ndim < 2 or value.dtype != torch.float32
        torch.testing.assert_close(kept.float(), value.float(), rtol=0 if exact else 1e-3, atol=0 if exact else 1e-7)
    inferencer = MultiTaskInferencer(path)
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    expected = MultiTaskInferencer(checkpoint)(image)['predictions']
    found = inferencer(image)['predictions']
    assert set(found) == set(expected)
    np.testing.assert_allclose(found['normals'], expected['normals'], atol=0.05)


def test_half_needs_safetensors(run_tool, trained_run, tmp_path):
    _, checkpoint, _ = trained_run()
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, tmp_path / 'a.pth', '--half')
    assert status == 2
    assert 'ends in .safetensors' in error


@pytest.mark.parametrize('content', [b'', b'not safetensors', None])
def test_a_damaged_safetensors_file(run_tool, trained_run, tmp_path, content):
    _, checkpoint, _ = trained_run()
    path = tmp_path / 'published.safetensors'
    run_tool('misc/publish_checkpoint', checkpoint, path, '--half')
    path.write_bytes(path.read_bytes()[:-10] if content is None else content)
    with pytest.raises(WeightsFileError, match=r'not a complete safetensors file .* Take another copy'):
        load_weights_only(path)


def test_some_of_the_tasks(run_tool, trained_run, tmp_path):
    _, checkpoint, _ = trained_run()
    path = tmp_path / 'some.safetensors'
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, path, '--tasks', 'normals')
    assert status == 0, error
    image = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    found, expected = (MultiTaskInferencer(file)(image)['predictions'] for file in (path, checkpoint))
    assert list(found) == ['normals']
    assert len(expected) > 1
    np.testing.assert_allclose(found['normals'], expected['normals'], atol=1e-5)
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, path, '--tasks', 'sky')
    assert status == 2
    assert "found 'sky'" in error


def test_results_of_the_run(run_tool, trained_run, tmp_path):
    """What was measured after the checkpoint's epoch goes with it, and stays when it is published again."""
    _, checkpoint, _ = trained_run()
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    rows = [
        {'loss': 1.0, 'step': 3},
        {'metric/normals/mErr': 50.0, 'width/full/normals/mErr': 50.0, 'width/small/normals/mErr': 60.0, 'step': 2},
        {'metric/normals/mErr': 20.0, 'width/full/normals/mErr': 20.0, 'width/small/normals/mErr': 30.0, 'step': 3},
    ]
    log.write_text('\n'.join(map(json.dumps, rows)))
    first, second = tmp_path / 'first.safetensors', tmp_path / 'second.safetensors'
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, first, '--results', tmp_path)
    assert status == 0, error
    run_tool('misc/publish_checkpoint', first, second)
    assert MultiTaskInferencer(second).results == {'full': {'normals/mErr': 20.0}, 'small': {'normals/mErr': 30.0}}
    assert MultiTaskInferencer(checkpoint).results == {}
    log.write_text(json.dumps(rows[1]))
    status, _, error = run_tool('misc/publish_checkpoint', checkpoint, first, '--results', tmp_path)
    assert status == 2
    assert 'no evaluation after epoch 3' in error
