"""A micro network of five tasks as a run leaves it, and images to run it on."""

import copy

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.protocols import adapter_layers

CONFIG = """
default_scope = 'mtl'
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes=['background', 'wall', 'box', 'person']),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
    depth=dict(type='Depth'),
)
test_dataloader = dict(
    dataset=dict(
        type='MiniScenes',
        pipeline=[
            dict(type='LoadImage'),
            dict(type='Resize', size=(56, 56)),
            dict(type='LoadLabels'),
            dict(type='Pack'),
        ],
    ),
)
model = dict(
    type='MultiTaskModel',
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
    backbone=dict(
        type='SwinBackbone', img_size=(56, 56), embed_dim=12, depths=(2, 2), num_heads=(2, 4),
        pretrained='base.pth', drop_path_rate=0.0, adapters=dict(rank=3, task_rank=2),
        trainable=('norms', 'reductions'),
    ),
    decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
)
"""


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """Folder with ``run.py``, ``base.pth`` (the frozen base) and ``epoch_3.pth``."""
    folder = tmp_path_factory.mktemp('run')
    (folder / 'run.py').write_text(CONFIG)
    config = Config.fromfile(folder / 'run.py')
    torch.manual_seed(0)
    bare = copy.deepcopy(config)
    bare.model.backbone.adapters = None
    base = build_for_checkpoint(bare).backbone
    torch.save({f'backbone.{key}': value for key, value in base.state_dict().items()}, folder / 'base.pth')
    model = build_for_checkpoint(config, str(folder / 'base.pth'))
    for _, layer in adapter_layers(model):
        for parameter in layer.adapter_parameters():
            nn.init.normal_(parameter, std=0.3)
    with torch.no_grad():
        model.heads['depth'].bias.fill_(3.0)  # metres above 0
    checkpoint = dict(
        state_dict=model.state_dict(),
        meta=dict(cfg=config.pretty_text, epoch=3),
        optimizer=dict(state={0: torch.zeros(1000)}),
        message_hub={},
    )
    torch.save(checkpoint, folder / 'epoch_3.pth')
    return folder


@pytest.fixture(scope='session')
def slimmable(run, tmp_path_factory):
    """Checkpoint of a network of the same tasks that slims."""
    config = Config.fromfile(run / 'run.py')
    config.model.slimming = dict(encoder=0.25, decoder=(0.5, 1.0), multiple=2)
    torch.manual_seed(0)
    model = build_for_checkpoint(config)
    with torch.no_grad():
        model.heads['depth'].bias.fill_(3.0)
    path = tmp_path_factory.mktemp('slimmable') / 'slimmable.pth'
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), path)
    return path


@pytest.fixture
def picture():
    """``picture(seed, size)``: RGB uint8 with structure."""

    def make(seed=0, size=(70, 90)):
        coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
        return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR)

    return make


@pytest.fixture
def folder(tmp_path, picture):
    """Folder with ``1.png``, ``2.png``, ``10.jpg``, a truncated ``3.jpg`` and a text file."""
    root = tmp_path / 'pictures'
    root.mkdir()
    for number, name in enumerate(('1.png', '2.png', '10.jpg', '3.jpg')):
        cv2.imwrite(str(root / name), picture(number)[..., ::-1])
    broken = (root / '3.jpg').read_bytes()
    (root / '3.jpg').write_bytes(broken[: len(broken) // 2])
    (root / 'notes.txt').write_text('no image')
    return root


@pytest.fixture
def video(tmp_path, picture):
    """``street.mp4``: five frames of 64 x 96 pixels, each of one colour."""
    path = tmp_path / 'street.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10.0, (96, 64))
    for number in range(5):
        writer.write(np.full((64, 96, 3), (40 * number, 100, 200 - 40 * number), np.uint8))
    writer.release()
    return path
