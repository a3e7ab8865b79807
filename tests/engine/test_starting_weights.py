"""`init_cfg`: a model starts with parts of another one."""

import pytest
import torch
from mmengine.registry import init_default_scope

from mtl.registry import MODELS

TASKS = dict(semseg=dict(type='SemanticSegmentation', classes='pascal_voc'), normals=dict(type='SurfaceNormals'))


@pytest.fixture
def build(tmp_path):
    init_default_scope('mtl')

    def build(tasks=TASKS, channels=8, **options):
        backbone = dict(
            type='SwinBackbone',
            model='swin_tiny_patch4_window7_224',
            img_size=(56, 56),
            embed_dim=8,
            depths=(1, 1),
            num_heads=(1, 2),
            pretrained=None,
            allow_random_init=True,
        )
        decoder = dict(type='HRNetDecoder', level_channels=(4, 4), out_channels=channels)
        return MODELS.build(dict(type='MultiTaskModel', tasks=tasks, backbone=backbone, decoder=decoder, **options))

    return build


def test_parts_are_copied_and_the_rest_keeps_its_start(build, tmp_path):
    source, file = build(), tmp_path / 'source.pth'
    torch.save(dict(state_dict=source.state_dict()), file)
    tasks = dict(normals=TASKS['normals'], edge=dict(type='Boundary'))
    model = build(tasks, init_cfg=dict(type='FromCheckpoint', checkpoint=str(file)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.init_weights()
    for name, value in model.state_dict().items():
        copied = name.startswith(('decoder.decoders.normals.', 'heads.normals.'))
        assert torch.equal(value, (source.state_dict() if copied else before)[name]), name


def test_a_file_of_which_nothing_fits_is_an_error(build, tmp_path):
    file = tmp_path / 'source.pth'
    torch.save(dict(state_dict=build(channels=4).heads.state_dict()), file)
    model = build(init_cfg=dict(type='FromCheckpoint', checkpoint=str(file)))
    with pytest.raises(ValueError, match=r'heads.*Expected for instance decoder\.'):
        model.init_weights()


def test_a_file_that_does_not_exist_is_named(build):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        build(init_cfg=dict(type='FromCheckpoint', checkpoint='nowhere.pth')).init_weights()
