"""From files to tensors, and what is said of files that cannot be used."""

import logging
import shutil

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from PIL import Image
from scipy.io import savemat
from torch.utils.data import DataLoader

from mtl.datasets import PASCALContext, SampleError
from mtl.files import read_picture

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    human_parts=dict(type='PartSegmentation'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
)
TRAIN = [dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='Resize', size=(24, 32)), dict(type='Pack')]
TEST = [dict(type='LoadImage'), dict(type='Resize', size=(24, 32)), dict(type='LoadLabels'), dict(type='Pack')]


@pytest.fixture
def copied(pascal, tmp_path):
    """The folder again, to be spoilt."""
    return shutil.copytree(pascal.root, tmp_path / 'copy')


def load(root, pipeline=TRAIN, **options):
    return PASCALContext(root, TASKS, pipeline=pipeline, **options)


def test_a_packed_sample(pascal):
    packed = load(pascal.root)[1]
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 24, 32)
    assert packed['inputs'].dtype == torch.uint8
    assert sample.gt_normals.shape == (3, 24, 32)
    assert {name: sample.label(name).shape[-2:] for name in TASKS} == dict.fromkeys(TASKS, (24, 32))
    assert sample.sample_id == 'train_00001'
    assert sample.img_path == str(pascal.root / 'JPEGImages/train_00001.jpg')
    assert (sample.ori_shape, sample.img_shape, sample.dataset) == ((40, 56), (24, 32), 'PASCALContext')


def test_channels_are_blue_green_red(pascal):
    packed = load(pascal.root, [dict(type='LoadImage'), dict(type='Pack')])[0]
    rgb = read_picture(pascal.root / 'JPEGImages/train_00000.jpg')
    np.testing.assert_array_equal(packed['inputs'].flip(0).permute(1, 2, 0).numpy(), rgb)
    assert np.abs(rgb.astype(int) - pascal.scenes['train_00000'].image).mean() < 5  # not far from what was drawn


def test_labels_loaded_after_a_resize_keep_their_resolution(pascal):
    sample = load(pascal.root, TEST, test_mode=True)[0]['data_samples']
    assert {tuple(sample.label(name).shape[-2:]) for name in TASKS} == {(40, 56)}
    np.testing.assert_array_equal(sample.gt_semseg.numpy(), pascal.scenes['train_00000'].semseg)
    assert sample.img_shape == (24, 32)


def test_an_absent_label_leaves_no_key(copied):
    (copied / 'sal_distill/train_00000.png').unlink()
    sample = load(copied)[0]['data_samples']
    assert not sample.has_label('saliency')
    assert [name for name in TASKS if sample.has_label(name)] == ['semseg', 'human_parts', 'normals', 'edge']


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(path):
    path.write_bytes(b'This was a picture once.')


def shrink(path):
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(path)


def exceed(path):
    Image.fromarray(np.full((40, 56), 77, np.uint8)).save(path)


def misname(path):
    savemat(path, {'something': np.zeros((40, 56))})


def mismatch(path):
    savemat(path, {'LabelMap': np.zeros((7, 9), np.uint16)})


@pytest.mark.parametrize(
    ('file', 'spoil', 'message'),
    [
        ('JPEGImages/{}.jpg', truncate, r'The image of sample {} cannot be read .*JPEGImages/{}.jpg.*truncated'),
        ('JPEGImages/{}.jpg', overwrite, r'The image of sample {} cannot be read .*JPEGImages/{}.jpg'),
        ('JPEGImages/{}.jpg', lambda path: path.unlink(), r'The image of sample {} .*JPEGImages/{}.jpg.*No such file'),
        ('semseg/VOC12/{}.png', truncate, r'label semseg of sample {} cannot be read from .*semseg/VOC12/{}.png'),
        (
            'semseg/VOC12/{}.png',
            shrink,
            r'label semseg of sample {} .*VOC12/{}.png\) is 7 x 9 pixels, its image 40 x 56',
        ),
        (
            'semseg/VOC12/{}.png',
            exceed,
            r'label semseg of sample {} .*VOC12/{}.png\) must hold 0 to 20 or 255; found 77',
        ),
        ('sal_distill/{}.png', shrink, r'label saliency of sample {} .*sal_distill/{}.png\) is 7 x 9 pixels'),
        ('normals_distill/{}.png', shrink, r'label normals of sample {} cannot be read .*normals_distill/{}.png'),
        ('normals_distill/{}.png', truncate, r'label normals of sample {} cannot be read .*normals_distill/{}.png'),
        ('human_parts/{}.mat', misname, r"label human_parts of sample {} .*{}.mat.*no variable 'anno'.*something"),
        ('human_parts/{}.mat', truncate, r'label human_parts of sample {} cannot be read from .*human_parts/{}.mat'),
        ('pascal-context/trainval/{}.mat', overwrite, r'label normals of sample {} cannot be read .*trainval/{}.mat'),
        ('pascal-context/trainval/{}.mat', mismatch, r'label normals of sample {} cannot be read .*trainval/{}.mat'),
    ],
)
def test_unusable_files_are_named_with_their_sample(copied, file, spoil, message):
    sample_id = 'train_00002'
    spoil(copied / file.format(sample_id))
    dataset = load(copied)
    dataset[0], dataset[1], dataset[3]
    with pytest.raises(SampleError, match=message.replace('{}', sample_id)):
        dataset[2]


@pytest.fixture
def log(tmp_path):
    """A file with what is logged, in data workers too."""
    handler = logging.FileHandler(tmp_path / 'log.txt')
    MMLogger.get_current_instance().addHandler(handler)
    yield tmp_path / 'log.txt'
    MMLogger.get_current_instance().removeHandler(handler)


@pytest.mark.parametrize('workers', [0, 1])
def test_skipping_counts_reports_and_serves_another(copied, log, workers):
    truncate(copied / 'JPEGImages/train_00002.jpg')
    shrink(copied / 'semseg/VOC12/train_00000.png')
    dataset = load(copied, on_error='skip')
    assert dataset.skipped == []
    for _ in range(2):
        served = [packed['data_samples'].sample_id for packed in DataLoader(dataset, None, num_workers=workers)]
        assert len(served) == 4
        assert set(served) <= {'train_00001', 'train_00003'}
    assert dataset.skipped == ['train_00000', 'train_00002']  # also when a worker found them
    reports = log.read_text()
    assert reports.count('Skipped') == 2
    assert 'VOC12/train_00000.png' in reports
    assert 'Skipped (2 so far)' in reports


def test_an_evaluation_never_skips(copied):
    truncate(copied / 'JPEGImages/train_00002.jpg')
    with pytest.raises(SampleError):
        load(copied, TEST, on_error='skip', test_mode=True)[2]
