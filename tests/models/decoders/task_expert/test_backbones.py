"""The decoder behind other backbones: a plain transformer of constant resolution, a convolutional pyramid."""

import pytest
import torch

from mtl.registry import MODELS

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    normals=dict(type='SurfaceNormals'),
)
BACKBONES = {
    'ViT': dict(model='vit_tiny_patch16_224', depth=4, embed_dim=24, num_heads=2, img_size=64),
    'ResNet': dict(model='resnet10t'),
}


@pytest.mark.parametrize('backbone', BACKBONES.values(), ids=BACKBONES)
@pytest.mark.parametrize('size', [(64, 64), (50, 90)], ids=str)
def test_a_network_learns_from_any_size(backbone, size):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone=dict(type='TimmBackbone', pretrained=None, allow_random_init=True, **backbone),
            decoder=dict(type='TaskExpertDecoder', channels=8, experts=2, upsampling=2),
        )
    )
    logits = model.logits(torch.randn(2, 3, *size))
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        'semseg': (2, 3, *size),
        'normals': (2, 3, *size),
    }
    sum(values.square().mean() for values in logits.values()).backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
