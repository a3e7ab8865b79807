"""A micro Swin for the tests of models."""

import pytest
import torch
from torch import nn

from mtl.protocols import adapter_layers
from mtl.registry import MODELS

MICRO = dict(
    type='SwinBackbone',
    model='swin_tiny_patch4_window7_224',
    img_size=(56, 56),
    embed_dim=12,
    depths=(2, 2),
    num_heads=(2, 4),
    window_size=7,
    drop_path_rate=0.0,
    pretrained=None,
    allow_random_init=True,
)
TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    normals=dict(type='SurfaceNormals'),
)


def randomise(module):
    """Give zero-initialised factors and norms random values, so that nothing is hidden behind a zero."""
    for _, layer in adapter_layers(module):
        for parameter in layer.adapter_parameters():
            nn.init.normal_(parameter, std=0.3)
    for layer in module.modules():
        if isinstance(layer, nn.LayerNorm):
            nn.init.normal_(layer.weight, mean=1.0, std=0.2)
            nn.init.normal_(layer.bias, std=0.2)
    return module


@pytest.fixture
def micro_backbone():
    def build(seed=0, tasks=('semseg', 'normals'), **overrides):
        torch.manual_seed(seed)
        return randomise(MODELS.build({**MICRO, 'tasks': tasks, **overrides})).eval()

    return build


@pytest.fixture
def micro_model():
    def build(seed=0, tasks=None, decoder=None, **backbone):
        torch.manual_seed(seed)
        model = MODELS.build(
            dict(
                type='MultiTaskModel',
                tasks=tasks or TASKS,
                backbone={**MICRO, **backbone},
                decoder=decoder or dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
            )
        )
        return randomise(model)

    return build
