import shutil

import numpy as np
import pytest
from PIL import Image

from mtl.datasets import NYUDv2, SampleError
from mtl.files import read_picture

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='nyud_40'),
    depth=dict(type='Depth'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
)


@pytest.fixture
def dataset(nyud):
    return NYUDv2(nyud.root, TASKS)


def test_kinds_of_files_are_told_from_the_folder(nyud, dataset):
    picture = dict(images='.png', normals='.png', edge='.png', depth='.npy')
    array = dict(images='.jpg', normals='.npy', edge='.npy', depth='.npy')
    assert dataset.suffixes == (picture if nyud.edition == 'atrc' else array)
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


def test_as_the_archive_gives_it(nyud, tmp_path):
    """JPEG images beside PNG files of everything else: depth in millimetres of 16 bits, normals and edges as bytes."""
    root = tmp_path / 'found'
    source = NYUDv2(nyud.root, TASKS)
    shutil.copytree(nyud.root, root, ignore=shutil.ignore_patterns('depth', 'normals', 'edge', 'images'))
    for kind in ('depth', 'normals', 'edge', 'images'):
        (root / kind).mkdir()
        (root / kind / '._train_00000.npy').write_bytes(b'of macOS')
    for split in ('train', 'val'):
        for sample_id in NYUDv2(nyud.root, TASKS, split=split).ids:
            Image.fromarray(read_picture(source.image_path(sample_id))).save(root / f'images/{sample_id}.jpg')
            labels = {name: source.read_label(name, sample_id) for name in ('depth', 'normals', 'edge')}
            millimetres = (labels['depth'] * 1000).round().astype(np.uint16)
            Image.fromarray(millimetres).save(root / f'depth/{sample_id}.png')
            encoded = ((labels['normals'] + 1) * 127.5).round().astype(np.uint8)
            Image.fromarray(encoded).save(root / f'normals/{sample_id}.png')
            Image.fromarray(labels['edge'] * 255).save(root / f'edge/{sample_id}.png')
    found = NYUDv2(root, TASKS)
    assert found.suffixes == dict(images='.jpg', depth='.png', normals='.png', edge='.png')
    for sample_id in found.ids:
        for name, error in dict(semseg=0, depth=6e-4, edge=0).items():
            expected = source.read_label(name, sample_id)
            label = found.read_label(name, sample_id)
            assert label.dtype == expected.dtype
            np.testing.assert_allclose(label, expected, atol=error)
        difference = found.read_label('normals', sample_id) - source.read_label('normals', sample_id)
        assert np.linalg.norm(difference, axis=2).max() < 2 * np.sqrt(3) / 255
    Image.fromarray(np.full((40, 56), 3, np.uint8)).save(root / f'depth/{found.ids[0]}.png')
    with pytest.raises(SampleError, match='16 bits, in millimetres'):
        found.read_label('depth', found.ids[0])
