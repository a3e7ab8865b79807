"""Tools run in this process: as from the command line, without the seconds of a new interpreter."""

import runpy
import sys
from pathlib import Path

import pytest

from mtl.checkpoints import set_checkpoint_loading

TOOLS = Path(__file__).resolve().parents[2] / 'tools'

CONFIG = """
default_scope = 'mtl'
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    normals=dict(type='SurfaceNormals'),
)
model = dict(
    type='MultiTaskModel',
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
    backbone=dict(
        type='SwinBackbone', img_size=(56, 56), embed_dim=12, depths=(2, 2), num_heads=(2, 4),
        pretrained='base.pth', drop_path_rate=0.0, adapters=dict(rank=3, task_rank=2, {adapters}),
        trainable=('norms', 'reductions'),
    ),
    decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
)
"""


@pytest.fixture
def run_tool(monkeypatch, capsys):
    """``run_tool('misc/publish_checkpoint', *arguments)`` gives (status, standard output, standard error)."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(TOOLS / f'{name}.py'), run_name='__main__')
        except SystemExit as stop:
            status = stop.code
        else:
            status = 0
        return status, *capsys.readouterr()

    yield run
    set_checkpoint_loading()  # `--trust` lasts as long as the process


@pytest.fixture
def trained_run(tmp_path, monkeypatch):
    """A config of a micro network and a checkpoint as a run leaves it: (config file, checkpoint file, model)."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from torch import nn

    from mtl.protocols import adapter_layers
    from mtl.registry import MODELS

    def make(adapters='', more=''):
        monkeypatch.chdir(tmp_path)
        init_default_scope('mtl')
        path = tmp_path / 'run.py'
        path.write_text(CONFIG.replace('{adapters}', adapters) + more)
        config = Config.fromfile(path)
        torch.manual_seed(0)
        options = dict(pretrained='checkpoint', adapters=None)
        base = MODELS.build({**config.model, 'backbone': {**config.model.backbone, **options}})
        torch.save({f'backbone.{k}': v for k, v in base.backbone.state_dict().items()}, tmp_path / 'base.pth')
        model = MODELS.build(config.model).eval()
        for _, layer in adapter_layers(model):
            for parameter in layer.adapter_parameters():
                nn.init.normal_(parameter, std=0.3)
        checkpoint = dict(
            state_dict=model.state_dict(),
            meta=dict(cfg=config.pretty_text, epoch=3),
            optimizer=dict(state={0: torch.zeros(1000)}),
            message_hub={},
        )
        torch.save(checkpoint, tmp_path / 'epoch_3.pth')
        return path, tmp_path / 'epoch_3.pth', model

    return make
