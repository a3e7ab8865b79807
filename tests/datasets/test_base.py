"""What all data sets share: their tasks, missing folders, and concatenation."""

import logging
import shutil

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset, pseudo_collate
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mtl.datasets import ClothingCoParsing, NYUDv2, PASCALContext
from mtl.models.data_preprocessor import MultiTaskDataPreprocessor
from mtl.tasks import SurfaceNormals

VOC = dict(type='SemanticSegmentation', classes='pascal_voc')
CLOTHES = dict(type='SemanticSegmentation', classes='ccp_10')
SALIENCY, NORMALS, EDGE = dict(type='Saliency'), dict(type='SurfaceNormals'), dict(type='Boundary')
TRAIN = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip'),
    dict(type='RandomScaleCrop', size=(32, 32)),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='Pack'),
]


@pytest.mark.parametrize(
    ('kind', 'layout', 'command'),
    [
        (PASCALContext, 'normals_distill/<id>.png', 'make_mini_scenes.py pascal data/PASCAL_MT'),
        (NYUDv2, 'segmentation/<id>.png', 'make_mini_scenes.py nyud data/NYUD_MT'),
        (ClothingCoParsing, 'photos/<id>.jpg', 'git clone https://github.com/bearpaw/clothing-co-parsing data/ccp'),
    ],
)
def test_missing_data_are_explained(tmp_path, kind, layout, command):
    with pytest.raises(FileNotFoundError) as root_missing:
        kind(tmp_path / 'nowhere', dict(edge=EDGE))
    assert f'{kind.__name__}: the folder {tmp_path / "nowhere"} is missing' in str(root_missing.value)
    with pytest.raises(FileNotFoundError) as list_missing:
        kind(tmp_path, dict(edge=EDGE))
    assert f'the list {tmp_path}' in str(list_missing.value)
    for error in (root_missing, list_missing):
        assert layout in str(error.value)
        assert command in str(error.value)
        assert '--cfg-options' in str(error.value)


def test_tasks_without_labels_are_refused(pascal):
    with pytest.raises(ValueError, match='PASCALContext has no labels for depth'):
        PASCALContext(pascal.root, dict(semseg=VOC, depth=dict(type='Depth')))
    with pytest.raises(ValueError, match="unknown type 'Pose'"):
        PASCALContext(pascal.root, dict(pose=dict(type='Pose')))
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip'; found 'ignore'"):
        PASCALContext(pascal.root, dict(semseg=VOC), on_error='ignore')


def test_classes_of_another_data_set_are_refused(ccp):
    """A network for VOC must not learn from clothes."""
    with pytest.raises(
        ValueError, match=r"has 10 classes.*the task semseg.* has 21.*labels=dict\(<its name>='semseg'\)"
    ):
        ClothingCoParsing(ccp.root, dict(semseg=VOC))


def test_without_tasks_a_data_set_gives_all_it_has(pascal, ccp):
    assert list(PASCALContext(pascal.root).tasks) == ['semseg', 'human_parts', 'saliency', 'normals', 'edge']
    assert list(ClothingCoParsing(ccp.root).tasks) == ['semseg', 'saliency', 'edge']


def test_a_task_without_any_label_is_warned_of(pascal, tmp_path):
    root = shutil.copytree(pascal.root, tmp_path / 'copy')
    shutil.rmtree(root / 'normals_distill')
    (root / 'sal_distill/train_00000.png').unlink()
    handler = logging.FileHandler(tmp_path / 'log.txt')
    MMLogger.get_current_instance().addHandler(handler)
    try:
        PASCALContext(root)
    finally:
        MMLogger.get_current_instance().removeHandler(handler)
    (warning,) = [line for line in (tmp_path / 'log.txt').read_text().splitlines() if 'no sample' in line]
    assert "no sample of the split 'train' has a label for normals" in warning
    assert 'normals_distill/train_00000.png' in warning


def test_data_sets_with_different_tasks_are_concatenated(pascal, ccp):
    """PASCAL and CCP in one batch; each sample has the labels of its own data set, and `clothes` is read as semseg."""
    tasks = dict(semseg=VOC, saliency=SALIENCY, normals=NORMALS, clothes=CLOTHES)
    street = ClothingCoParsing(
        ccp.root, dict(saliency=SALIENCY, clothes=CLOTHES), pipeline=TRAIN, labels=dict(clothes='semseg')
    )
    scenes = PASCALContext(pascal.root, dict(semseg=VOC, saliency=SALIENCY, normals=NORMALS), pipeline=TRAIN)
    both = ConcatDataset([scenes, street])
    assert len(both) == 8
    (batch,) = DataLoader(both, batch_size=8, collate_fn=pseudo_collate)
    batch = MultiTaskDataPreprocessor(tasks)(batch, training=True)
    assert batch['inputs'].shape == (8, 3, 32, 32)
    assert torch.isfinite(batch['inputs']).all()
    labels = {name: [sample.has_label(name) for sample in batch['data_samples']] for name in tasks}
    first, second = [True] * 4 + [False] * 4, [False] * 4 + [True] * 4
    assert labels == dict(semseg=first, saliency=[True] * 8, normals=first, clothes=second)
    assert [sample.dataset for sample in batch['data_samples']] == ['PASCALContext'] * 4 + ['ClothingCoParsing'] * 4
    np.testing.assert_array_equal(
        street.read_label('clothes', '0001'), ClothingCoParsing(ccp.root).read_label('semseg', '0001')
    )


class Steepness(SurfaceNormals):
    """How far a surface is from facing the camera: one channel, from the label of normals."""

    source = 'normals'
    out_channels = 1

    def from_label(self, label):
        return 1 - label[..., 2]


def test_a_task_may_derive_its_label(pascal):
    """It reads what it derives from, wherever that lies, and nothing is derived from a missing label."""
    steepness = Steepness()
    steepness.name = 'steepness'
    data = PASCALContext(pascal.root, dict(normals=NORMALS, steepness=steepness))
    sample_id = data.ids[0]
    np.testing.assert_array_equal(
        data.read_label('steepness', sample_id), 1 - data.read_label('normals', sample_id)[..., 2]
    )
    assert data.label_sources('steepness', sample_id) == data.label_sources('normals', sample_id)
    with pytest.raises(ValueError, match='ClothingCoParsing has no labels for steepness'):
        ClothingCoParsing(pascal.root, dict(steepness=steepness))


def test_no_label_no_derived_label(pascal, tmp_path):
    root = shutil.copytree(pascal.root, tmp_path / 'copy')
    shutil.rmtree(root / 'normals_distill')
    steepness = Steepness()
    steepness.name = 'steepness'
    data = PASCALContext(root, dict(steepness=steepness), cache_root=None)
    assert data.read_label('steepness', data.ids[0]) is None
