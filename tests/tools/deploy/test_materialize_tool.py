"""Materialised checkpoints give the outputs of the slimmable run at that width, by the config beside them."""

import json

import pytest
import torch
from mmengine.config import Config

from mtl.models import MultiTaskModel
from mtl.registry import MODELS

SLIMMING = """
model.update(
    slimming=dict(encoder=(0.5, 1.0), decoder=(0.25, 0.5, 1.0), samples=1),
)
val_cfg = dict(type='WidthValLoop')
"""
TASK_EXPERT = "model['decoder'] = dict(type='TaskExpertDecoder', channels=32, experts=2)\n"
WIDTH = dict(encoder=[1.0, 0.5], decoder=dict(semseg=0.5, normals=0.25))


def loaded(path):
    """The network of a checkpoint, built from its own config only."""
    config = Config.fromfile(path.with_suffix('.py'))
    model = MODELS.build(config.model).eval()
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    assert type(model) is MultiTaskModel
    assert set(checkpoint['meta']['tasks']) == set(model.tasks) == set(config.tasks)
    assert config.val_cfg.type == 'ValLoop'
    return model


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize('decoder', ['', TASK_EXPERT])
@pytest.mark.parametrize('extra', [(), ('--tasks', 'normals'), ('--merge',), ('--tasks', 'semseg', '--merge')])
def test_outputs_are_equal(run_tool, trained_run, tmp_path, decoder, extra):
    config, checkpoint, model = trained_run("base_input='task'", decoder + SLIMMING)
    (tmp_path / 'width.json').write_text(json.dumps(WIDTH))
    arguments = (config, checkpoint, tmp_path / 'small.pth', '--width', tmp_path / 'width.json', *extra)
    status, output, error = run_tool('deploy/materialize', *arguments)
    assert status == 0, error
    assert 'Width: encoder 1 0.5; semseg 0.5, normals 0.25.' in output
    small = loaded(tmp_path / 'small.pth')
    assert set(small.tasks) == ({extra[1]} if '--tasks' in extra else {'semseg', 'normals'})
    if '--merge' in extra:
        assert 'All adapters are folded' in output
        assert not any(name.endswith(('.A', '.B')) for name in small.state_dict())
    else:
        assert parameters(small) < 0.85 * parameters(model)
    image = torch.randn(2, 3, 56, 70)
    with torch.no_grad(), model.at_width(WIDTH):
        for task, logits in small.logits(image).items():
            expected = model.logits(image, (task,))[task]
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4 if '--merge' in extra else 1e-5)


def test_wrong_inputs(run_tool, trained_run, tmp_path):
    config, checkpoint, _ = trained_run('', SLIMMING)
    output = tmp_path / 'small.pth'
    for width, message in (
        ('none.json', 'There is no width file none.json'),
        (dict(WIDTH, encoder=[0.7, 1.0]), '0.7 is not among the encoder ratios that this network was'),
        (dict(WIDTH, decoder=dict(depth=1.0)), 'The width names depth; the tasks are semseg, normals'),
    ):
        if isinstance(width, dict):
            (tmp_path / 'width.json').write_text(json.dumps(width))
            width = tmp_path / 'width.json'
        status, _, error = run_tool('deploy/materialize', config, checkpoint, output, '--width', width)
        assert status == 2
        assert message in error
    (tmp_path / 'width.json').write_text(json.dumps(dict(WIDTH, decoder=dict(semseg=0.5))))
    arguments = (config, checkpoint, output, '--width', tmp_path / 'width.json', '--tasks', 'normals')
    status, _, error = run_tool('deploy/materialize', *arguments)
    assert status == 2
    assert 'The width has no ratio for normals; it has semseg.' in error
    assert not output.exists()

    config, checkpoint, _ = trained_run()
    status, _, error = run_tool('deploy/materialize', config, checkpoint, output, '--width', 'small')
    assert status == 2
    assert 'one width only' in error
