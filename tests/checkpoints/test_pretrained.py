import re

import pytest
import timm
import torch
from safetensors.torch import save_file

from mtl.models.backbones import SwinBackbone

MICRO = dict(img_size=(56, 56), embed_dim=12, depths=(2, 2), num_heads=(2, 4))


@pytest.fixture
def reference():
    return timm.create_model('swin_tiny_patch4_window7_224', num_classes=5, **MICRO).eval()


def first_features(reference, image):
    with torch.no_grad():
        return reference.forward_intermediates(image, intermediates_only=True)[-1]


def assert_same_network(reference, path):
    backbone = SwinBackbone(pretrained=str(path), **MICRO).eval()
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        torch.testing.assert_close(backbone(image).levels[-1].features[0], first_features(reference, image))


def test_timm_file(reference, tmp_path):
    save_file(reference.state_dict(), tmp_path / 'swin.safetensors')
    assert_same_network(reference, tmp_path / 'swin.safetensors')


def test_original_release(reference, tmp_path):
    """Swin's own file: merging at the end of a stage, computed buffers stored, everything under 'model'."""
    state = {}
    for key, value in reference.state_dict().items():
        key = re.sub(r'^layers\.(\d+)\.downsample', lambda m: f'layers.{int(m[1]) - 1}.downsample', key)
        state[key.replace('head.fc.', 'head.')] = value
    state['layers.0.blocks.1.attn_mask'] = torch.zeros(4, 49, 49)
    state['layers.0.blocks.0.attn.relative_position_index'] = torch.zeros(49, 49, dtype=torch.long)
    torch.save({'model': state}, tmp_path / 'swin.pth')
    assert_same_network(reference, tmp_path / 'swin.pth')


def test_other_window_is_interpolated(reference, tmp_path):
    torch.save(reference.state_dict(), tmp_path / 'swin.pth')
    backbone = SwinBackbone(pretrained=str(tmp_path / 'swin.pth'), **{**MICRO, 'window_size': 4})
    assert backbone.swin.layers[0].blocks[0].attn.relative_position_bias_table.shape == (49, 2)


def test_file_of_another_variant(reference, tmp_path):
    torch.save(reference.state_dict(), tmp_path / 'swin.pth')
    with pytest.raises(RuntimeError, match=r'do not fit the backbone.*wrong size'):
        SwinBackbone(pretrained=str(tmp_path / 'swin.pth'), **{**MICRO, 'embed_dim': 16})


@pytest.mark.parametrize('pretrained', ['nowhere/swin.pth', None])
def test_without_weights(pretrained):
    with pytest.raises(RuntimeError, match='allow_random_init=True'):
        SwinBackbone(pretrained=pretrained, **MICRO)
    SwinBackbone(pretrained=pretrained, allow_random_init=True, **MICRO)


def test_hub_that_cannot_be_reached(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError('no route to the hub')

    monkeypatch.setattr('mtl.checkpoints.pretrained._from_hub', unreachable)
    with pytest.raises(RuntimeError, match=r'no route to the hub.*PATH'):
        SwinBackbone(pretrained=True, **MICRO)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ('executed',))

    torch.save({'model': Evil()}, tmp_path / 'swin.pth')
    with pytest.raises(Exception, match=r'(?i)weights'):
        SwinBackbone(pretrained=str(tmp_path / 'swin.pth'), **MICRO)


def test_a_trained_backbone_becomes_pretrained_weights(tmp_path):
    backbone = SwinBackbone(pretrained=None, allow_random_init=True, **MICRO).eval()
    torch.save({'state_dict': {f'backbone.{k}': v for k, v in backbone.state_dict().items()}}, tmp_path / 'run.pth')
    again = SwinBackbone(pretrained=str(tmp_path / 'run.pth'), **MICRO).eval()
    image = torch.randn(1, 3, 64, 64)
    for before, after in zip(backbone(image).levels, again(image).levels, strict=True):
        torch.testing.assert_close(before.features, after.features)
