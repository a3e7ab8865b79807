"""Merged checkpoints give the outputs of the run, by the config that is written beside them."""

import pytest
import torch
from mmengine.config import Config

from mtl.models.adapters import MTLoRALinear
from mtl.models.dense import Linear
from mtl.registry import MODELS


def loaded(path):
    """The network of a merged checkpoint, built from its own config only."""
    config = Config.fromfile(path.with_suffix('.py'))
    model = MODELS.build(config.model).eval()
    checkpoint = torch.load(path, weights_only=True)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    return model, checkpoint


@pytest.mark.parametrize(
    ('adapters', 'remaining'),
    [
        ('', 6),  # three layers of each stage's last block have task updates
        ("mode='matrixv2'", 6),
        ("mode='addition'", 6),
        ("mode='lora_only'", 0),
        ("base_input='task'", 0),
        ("targets=('qkv', 'fc1', 'reduction'), base_input='task'", 0),
    ],
)
def test_all_tasks(run_tool, trained_run, tmp_path, adapters, remaining):
    config, checkpoint, model = trained_run(adapters)
    status, output, error = run_tool('deploy/merge_adapters', config, checkpoint, tmp_path / 'merged.pth')
    assert status == 0, error
    merged, _ = loaded(tmp_path / 'merged.pth')
    assert sum(isinstance(layer, MTLoRALinear) for layer in merged.modules()) == remaining
    assert ('Not folded' in output) == (remaining > 0)
    image = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        for task, logits in model.logits(image).items():
            torch.testing.assert_close(merged.logits(image)[task], logits, rtol=1e-4, atol=1e-4)


def test_one_task_becomes_plain(run_tool, trained_run, tmp_path):
    config, checkpoint, model = trained_run("base_input='task'")
    arguments = (config, checkpoint, tmp_path / 'normals.pth', '--task', 'normals')
    status, output, error = run_tool('deploy/merge_adapters', *arguments)
    assert status == 0, error
    assert 'All adapters are folded' in output
    merged, stored = loaded(tmp_path / 'normals.pth')
    assert list(merged.tasks) == ['normals'] == list(stored['meta']['tasks'])
    assert not any('semseg' in key or key.endswith(('.A', '.B')) for key in stored['state_dict'])
    image = torch.randn(2, 3, 56, 56)
    with torch.no_grad():
        expected = model.logits(image, ('normals',))['normals']
        torch.testing.assert_close(merged.logits(image)['normals'], expected, rtol=1e-4, atol=1e-4)


def test_a_task_that_is_no_single_weight_keeps_its_factors(run_tool, trained_run, tmp_path):
    config, checkpoint, model = trained_run()
    arguments = (config, checkpoint, tmp_path / 'semseg.pth', '--task', 'semseg')
    status, output, _ = run_tool('deploy/merge_adapters', *arguments)
    assert status == 0
    assert "only base_input='task'" in output
    merged, _ = loaded(tmp_path / 'semseg.pth')
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        expected = model.logits(image, ('semseg',))['semseg']
        torch.testing.assert_close(merged.logits(image)['semseg'], expected, rtol=1e-4, atol=1e-4)
    assert not isinstance(merged.backbone.swin.layers[0].blocks[0].mlp.fc1, MTLoRALinear)
    assert type(merged.backbone.swin.layers[0].blocks[0].mlp.fc1) is Linear


def test_wrong_inputs_are_sentences(run_tool, trained_run, tmp_path):
    config, checkpoint, _ = trained_run()
    for arguments, words in (
        ((config, checkpoint, 'out.pth', '--task', 'depth'), 'semseg, normals'),
        ((config, 'nowhere.pth', 'out.pth'), 'nowhere.pth'),
        ((config, tmp_path / 'base.pth', 'out.pth'), 'do not fit'),
    ):
        status, _, error = run_tool('deploy/merge_adapters', *arguments)
        assert status == 2
        assert words in error
