"""Real files through the command line: what goes in comes out, and what is dropped is said."""

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from mtl.models import SwinBackbone

TOOL = Path(__file__).resolve().parents[3] / 'tools' / 'misc' / 'convert_checkpoint.py'
MICRO = dict(img_size=(56, 56), embed_dim=12, depths=(1, 2), num_heads=(2, 4))


def convert(*arguments):
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def reference():
    return timm.create_model('swin_tiny_patch4_window7_224', num_classes=5, **MICRO).eval()


def test_timm_and_the_original_release(reference, tmp_path):
    state = reference.state_dict()
    save_file(state, tmp_path / 'timm.safetensors')
    original = {key.replace('layers.1.downsample', 'layers.0.downsample'): value for key, value in state.items()}
    torch.save({'model': {**original, 'layers.1.blocks.1.attn_mask': torch.zeros(1, 49, 49)}}, tmp_path / 'swin.pth')
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        expected = reference.forward_intermediates(image, intermediates_only=True)[-1]
    for kind, source in (('timm', 'timm.safetensors'), ('swin', 'swin.pth')):
        result = convert(kind, tmp_path / source, tmp_path / 'ours.pth')
        assert result.returncode == 0, result.stderr
        for dropped in ('head.fc.weight', 'norm.bias', *(['layers.1.blocks.1.attn_mask'] if kind == 'swin' else [])):
            assert f'\n  {dropped}\n' in result.stdout
        assert 'model.backbone.depths = (1, 2)' in result.stdout
        backbone = SwinBackbone(pretrained=str(tmp_path / 'ours.pth'), **MICRO).eval()
        with torch.no_grad():
            torch.testing.assert_close(backbone(image).levels[-1].features[0], expected)


class CfgNode(dict):
    """A config as yacs pickles it: a dict with attributes."""


def test_a_published_file_with_its_config(tmp_path):
    """The stored config is read as plain data, without --trust and without yacs."""
    base = SwinBackbone(
        pretrained=None, allow_random_init=True, tasks=('sal',), adapters=dict(rank=3, task_rank=2), **MICRO
    )
    state = {}
    for key, value in base.swin.state_dict().items():
        key = key.replace('blocks.0.block.', 'blocks.0.').replace('blocks.1.block.', 'blocks.1.')
        for block in ('layers.0.blocks.0', 'layers.1.blocks.1'):
            key = key.replace(f'{block}.proj', f'{block}.attn.proj')
        key = key.replace('layers.1.downsample', 'layers.0.downsample')
        key = key.replace('shared.', 'lora_shared_').replace('tasks.sal.A', 'lora_tasks_A.sal')
        key = key.replace('tasks.sal.B', 'lora_tasks_B.sal')
        if key.split('.')[-2] in ('qkv', 'proj', 'fc1', 'fc2') and 'lora' not in key:
            key = f'{key.rpartition(".")[0]}.linear.{key.rpartition(".")[2]}'
        state[f'backbone.{key}'.replace('backbone.patch_embed.proj.linear', 'backbone.patch_embed.proj')] = value
    config = CfgNode(
        MODEL=CfgNode(
            MTLORA=CfgNode(
                SHARED_MODE='matrixv2',
                SHARED_SCALE=[2.0, 2.0],
                DROPOUT=[0.0, 0.0],
                SCALE_PER_TASK_LIST=[{'sal': 3.0}, {'sal': 3.0}],
            )
        )
    )
    config.__dict__['__immutable__'] = True
    CfgNode.__module__ = 'yacs.config'
    sys.modules['yacs'] = sys.modules['yacs.config'] = sys.modules[__name__]
    try:
        torch.save({'model': state, 'config': config, 'epoch': 3}, tmp_path / 'published.pth')
    finally:
        del sys.modules['yacs'], sys.modules['yacs.config']
        CfgNode.__module__ = __name__

    result = convert('mtlora', tmp_path / 'published.pth', tmp_path / 'ours.pth', '--rename-task', 'sal=saliency')
    assert result.returncode == 0, result.stderr
    ours = torch.load(tmp_path / 'ours.pth', weights_only=True)
    assert ours['meta']['backbone']['adapters']['task_scale'] == [{'saliency': 3.0}] * 2
    assert ours['meta']['backbone']['adapters']['mode'] == 'matrixv2'
    for key, value in base.swin.state_dict().items():
        assert torch.equal(ours['state_dict'][f'backbone.swin.{key}'.replace('tasks.sal.', 'tasks.saliency.')], value)


class Payload:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        import os

        return os.mkdir, (self.trace,)


def test_code_is_refused_unless_trusted(reference, tmp_path):
    trace = tmp_path / 'trace'
    torch.save({'model': reference.state_dict(), 'extra': Payload(trace)}, tmp_path / 'file.pth')
    result = convert('timm', tmp_path / 'file.pth', tmp_path / 'ours.pth')
    assert result.returncode == 2
    assert '--trust' in result.stderr
    assert 'Traceback' not in result.stderr
    assert not trace.exists()
    assert convert('timm', tmp_path / 'file.pth', tmp_path / 'ours.pth', '--trust').returncode == 0
    assert trace.exists()


def test_wrong_inputs_are_sentences(reference, tmp_path):
    torch.save({**reference.state_dict(), 'layers.0.extra': torch.zeros(1)}, tmp_path / 'file.pth')
    for arguments, words in (
        (('timm', tmp_path / 'nowhere.pth'), 'nowhere.pth'),
        (('timm', tmp_path / 'file.pth'), 'layers.0.extra'),
        (('timm', tmp_path / 'file.pth', '--rename-task', 'a=b'), 'no tasks'),
        (('mtlora', tmp_path / 'file.pth', '--rename-task', 'a'), 'OLD=NEW'),
    ):
        result = convert(*arguments[:2], tmp_path / 'ours.pth', *arguments[2:])
        assert result.returncode == 2
        assert 'Traceback' not in result.stderr
        assert words in result.stderr
    assert not (tmp_path / 'ours.pth').exists()
