"""Micro networks that slim."""

import pytest
import torch
from torch import nn

from mtl.protocols import adapter_layers
from mtl.registry import MODELS

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    normals=dict(type='SurfaceNormals'),
    saliency=dict(type='Saliency'),
)
BACKBONE = dict(
    type='SwinBackbone',
    model='swin_tiny_patch4_window7_224',
    img_size=(32, 32),
    embed_dim=12,
    depths=(2, 2),
    num_heads=(3, 6),
    window_size=4,
    drop_path_rate=0.0,
    pretrained=None,
    allow_random_init=True,
    adapters=dict(type='MTLoRA', rank=3, task_rank=2, dropout=0.0),
)
DECODERS = dict(
    hrnet=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
    task_expert=dict(type='TaskExpertDecoder', channels=16, experts=3, expert_ratio=1.5),
    task_expert_shared=dict(type='TaskExpertDecoder', channels=16, experts=2, expert_input='shared', gates='image'),
    task_expert_level=dict(
        type='TaskExpertDecoder', channels=16, experts=2, resolution='level', entries='levels', balance_weight=0.1
    ),
    task_expert_static=dict(
        type='TaskExpertDecoder', channels=16, experts=2, memory=False, gates='static', share_experts=True
    ),
)
SLIMMING = dict(encoder=0.2, decoder=(0.25, 0.5, 0.75, 1.0), samples=2, multiple=2)


@pytest.fixture(scope='session')
def slimmable():
    """``slimmable(decoder, **changes)``: (model, its config); no weight is 0."""

    def build(decoder='hrnet', seed=0, slimming=None, **backbone):
        options = dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone={**BACKBONE, **backbone},
            decoder=DECODERS[decoder],
            slimming={**SLIMMING, **(slimming or {})},
        )
        torch.manual_seed(seed)
        model = MODELS.build(options)
        with torch.no_grad():
            for _, layer in adapter_layers(model):
                for parameter in layer.adapter_parameters():
                    nn.init.normal_(parameter, std=0.3)
            for value in [*model.parameters(), *model.buffers()]:
                if value.dim() == 1 and value.is_floating_point():
                    value.add_(torch.rand_like(value))
        return model.eval(), options

    return build
