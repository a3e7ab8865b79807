"""A micro slimmable network as a run leaves it, and one of a single width."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mtl.apis import MultiTaskInferencer
from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.demo.answers import Answers

CONFIG = """
default_scope = 'mtl'
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes=['background', 'wall', 'box', 'person']),
    normals=dict(type='SurfaceNormals'),
    depth=dict(type='Depth'),
)
test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', size=(56, 56)), dict(type='Pack')]))
model = dict(
    type='MultiTaskModel',
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
    backbone=dict(
        type='SwinBackbone', img_size=(56, 56), embed_dim=16, depths=(2, 2), num_heads=(4, 8),
        pretrained=None, allow_random_init=True, drop_path_rate=0.0, adapters=dict(rank=3, task_rank=2),
        trainable=('norms', 'reductions'),
    ),
    decoder=dict(type='TaskExpertDecoder', channels=16, experts=2),
    {slimming}
)
"""
KINDS = {
    'slimmable': dict(slimming='slimming=dict(multiple=1),'),
    'static': dict(slimming=''),
}


@pytest.fixture(scope='session')
def checkpoint(tmp_path_factory):
    """``checkpoint('slimmable')`` or ``checkpoint('static')``: a file."""
    made = {}

    def make(kind):
        if kind not in made:
            text = CONFIG
            for key, value in KINDS[kind].items():
                text = text.replace('{' + key + '}', value)
            config = Config.fromstring(text, '.py')
            torch.manual_seed(0)
            model = build_for_checkpoint(config)
            for parameter in model.parameters():
                if parameter.ndim > 1:
                    nn.init.normal_(parameter, std=0.2)
            made[kind] = tmp_path_factory.mktemp(kind) / 'epoch_1.pth'
            torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), made[kind])
        return made[kind]

    return make


@pytest.fixture(scope='session')
def answers(checkpoint):
    """``answers('slimmable')`` or ``answers('static')``."""
    return lambda kind: Answers(MultiTaskInferencer(checkpoint(kind), show_progress=False))
