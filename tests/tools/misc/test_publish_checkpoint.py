"""Published checkpoints: small, named by their hash, complete without a config."""

import hashlib

import torch
from mmengine.config import Config

from mtl.models.adapters.checkpoints import put_back_base
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
