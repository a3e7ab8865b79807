import shutil

import numpy as np
import pytest
from PIL import Image

from mtl.datasets import NYUDv2
from mtl.datasets.files import read_picture

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='nyud_40'),
    depth=dict(type='Depth'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
)


@pytest.fixture
def dataset(nyud):
    return NYUDv2(nyud.root, TASKS)


def test_the_edition_is_told_from_the_files(nyud, dataset):
    assert dataset.edition == nyud.edition
    for split, count in (('train', 2), ('val', 1)):
        samples = NYUDv2(nyud.root, TASKS, split=split)
        assert len(samples) == count
        assert read_picture(samples.image_path(samples.ids[0])).shape == (40, 56, 3)


def test_labels_are_the_scene_s(nyud, dataset):
    for sample_id, scene in nyud.scenes.items():
        labels = {name: dataset.read_label(name, sample_id) for name in TASKS}
        assert {name: str(label.dtype) for name, label in labels.items()} == dict(
            semseg='uint8', depth='float32', normals='float32', edge='uint8'
        )
        np.testing.assert_array_equal(labels['semseg'], scene.nyud)
        np.testing.assert_array_equal(labels['depth'], scene.depth)
        np.testing.assert_array_equal(labels['edge'], scene.edge)
        # exact in files of floats, within half a step of a byte in pictures
        error = 1e-6 if nyud.edition == 'mti' else np.sqrt(3) / 255
        assert np.linalg.norm(labels['normals'] - scene.normals, axis=2).max() < error


def test_published_classes_count_from_one(nyud, tmp_path):
    shutil.copytree(nyud.root, tmp_path / 'copy')
    dataset = NYUDv2(tmp_path / 'copy', TASKS)
    Image.fromarray(np.array([[0, 1, 40]], np.uint8)).save(tmp_path / 'copy/segmentation/train_00000.png')
    assert dataset.read_label('semseg', 'train_00000').tolist() == [[255, 0, 39]]


def test_what_is_not_a_depth_is_unknown(nyud, tmp_path):
    shutil.copytree(nyud.root, tmp_path / 'copy')
    dataset = NYUDv2(tmp_path / 'copy', TASKS)
    np.save(tmp_path / 'copy/depth/train_00000.npy', np.array([[[np.nan], [np.inf], [2.5]]]))
    depth = dataset.read_label('depth', 'train_00000')
    assert depth.tolist() == [[0.0, 0.0, 2.5]]
    assert depth.dtype == np.float32


def test_absent_files_are_absent_labels(nyud, tmp_path):
    shutil.copytree(nyud.root, tmp_path / 'copy')
    dataset = NYUDv2(tmp_path / 'copy', TASKS)
    for name, folder in dict(semseg='segmentation', depth='depth', normals='normals', edge='edge').items():
        next((tmp_path / 'copy' / folder).glob('train_00000.*')).unlink()
        assert dataset.read_label(name, 'train_00000') is None
        assert dataset.read_label(name, 'train_00001') is not None
