"""The loader gives the labels that the scenes in the folder were drawn with."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat
from skimage.morphology import thin

from mtl.datasets import PASCALContext, SampleError
from mtl.datasets.pascal_context import HUMAN_PARTS, classes_with_normals

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    human_parts=dict(type='PartSegmentation'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    edge=dict(type='Boundary'),
)


@pytest.fixture
def dataset(pascal):
    return PASCALContext(pascal.root, TASKS)


@pytest.fixture
def copied(pascal, tmp_path):
    """The data set again, to be spoilt."""
    shutil.copytree(pascal.root, tmp_path / 'copy')
    return PASCALContext(tmp_path / 'copy', TASKS)


def test_splits(pascal):
    assert PASCALContext(pascal.root, TASKS).ids == ['train_00000', 'train_00001', 'train_00002', 'train_00003']
    assert PASCALContext(pascal.root, TASKS, split='val').ids == ['val_00000', 'val_00001']
    assert len(PASCALContext(pascal.root, TASKS, split=str(pascal.root / 'ImageSets/Context/val.txt'))) == 2


@pytest.mark.parametrize('name', ['semseg', 'human_parts', 'saliency'])
def test_class_maps_are_the_scene_s(pascal, dataset, name):
    for sample_id, scene in pascal.scenes.items():
        label = dataset.read_label(name, sample_id)
        assert label.dtype == np.uint8
        np.testing.assert_array_equal(label, getattr(scene, name))


def test_the_scenes_tell_parts_from_no_person(pascal):
    """The data set above has images with a person and without, or the test of human parts would be a weak one."""
    kinds = {(scene.human_parts == 255).all() for scene in pascal.scenes.values()}
    assert kinds == {True, False}


def test_normals_are_the_scene_s_where_the_class_has_them(pascal, dataset):
    for sample_id, scene in pascal.scenes.items():
        normals = dataset.read_label('normals', sample_id)
        assert normals.dtype == np.float32
        counts = np.isin(scene.label_map, classes_with_normals()) & scene.normals.any(axis=2)
        np.testing.assert_array_equal(normals.any(axis=2), counts)
        # half a step of a byte in each of three components
        angle = np.degrees(np.arccos((normals * scene.normals).sum(axis=2)[counts].clip(-1, 1)))
        assert angle.max() < np.degrees(np.sqrt(3) / 255)
        np.testing.assert_allclose(np.linalg.norm(normals[counts], axis=1), 1, atol=1e-6)


def test_boundaries_are_where_the_label_map_changes(pascal, dataset):
    for sample_id, scene in pascal.scenes.items():
        padded = np.pad(scene.label_map.astype(int), 1, mode='reflect')  # as OpenCV mirrors at the border
        changes = np.zeros(scene.label_map.shape, bool)
        for y, x in np.ndindex(*changes.shape):
            centre = padded[y + 1, x + 1]
            changes[y, x] = (
                padded[y, x + 1] + padded[y + 2, x + 1] + padded[y + 1, x] + padded[y + 1, x + 2] != 4 * centre
            )
        edge = dataset.read_label('edge', sample_id)
        assert edge.dtype == np.uint8
        np.testing.assert_array_equal(edge, thin(changes))
        assert edge.any()


def test_voc_masks_come_before_those_of_pascal_context(copied):
    folder = copied.root / 'semseg'
    shutil.copy(folder / 'VOC12/train_00000.png', folder / 'pascal-context/train_00001.png')
    assert copied.label_sources('semseg', 'train_00001') == [folder / 'pascal-context/train_00001.png']
    shutil.copy(folder / 'pascal-context/train_00003.png', folder / 'VOC12/train_00001.png')
    np.testing.assert_array_equal(
        copied.read_label('semseg', 'train_00001'), copied.read_label('semseg', 'train_00003')
    )


def test_absent_files_are_absent_labels(copied):
    for folder in ('human_parts', 'sal_distill', 'semseg/VOC12', 'pascal-context/trainval'):
        for path in (copied.root / folder).glob('train_00000.*'):
            path.unlink()
    assert [name for name in TASKS if copied.read_label(name, 'train_00000') is not None] == []
    assert copied.read_label('saliency', 'train_00001') is not None


def test_published_names_of_parts():
    """The archive's 24 part names of a person, in six groups."""
    assert len(HUMAN_PARTS) == 24
    assert [sum(part == index for part in HUMAN_PARTS.values()) for index in range(1, 7)] == [10, 2, 2, 4, 2, 4]


def write_objects(path, *objects):
    """A file of PASCAL-Part; an object is (class name, class id, mask, parts)."""
    fields = [('class', object), ('class_ind', object), ('mask', object), ('parts', object)]
    array = np.zeros((1, len(objects)), fields)
    for column, entry in enumerate(objects):
        array[0, column] = entry
    savemat(path, {'anno': {'imname': 'x', 'objects': array}}, oned_as='row')


def test_who_has_parts(copied):
    """PASCAL-Part writes an empty array for a person without parts, who is unknown, unless somebody else has some."""
    path = copied.root / 'human_parts/train_00000.mat'
    top = np.zeros((40, 56), np.uint8)
    top[:20] = 1
    none = np.zeros((0, 0))
    parts = np.zeros((1, 3), [('part_name', object), ('mask', object)])
    parts[0] = [('torso', top), ('lhand', 1 - top), ('tail', top)]
    for objects, expected in [
        ([('person', 15, top, none), ('person', 15, top, parts), ('dog', 12, top, parts)], np.where(top, 2, 4)),
        ([('person', 15, top, none)], np.full((40, 56), 255)),
        ([('dog', 12, top, parts)], np.full((40, 56), 255)),
    ]:
        write_objects(path, *objects)
        np.testing.assert_array_equal(copied.read_label('human_parts', 'train_00000'), expected)
    write_objects(path)
    assert copied.read_label('human_parts', 'train_00000') is None


def test_a_mat_without_its_variable_is_named(copied):
    path = copied.root / 'pascal-context/trainval/train_00000.mat'
    savemat(path, {'Labels': np.zeros((2, 2))})
    with pytest.raises(
        SampleError, match=r"label edge of sample train_00000.*trainval/train_00000.mat.*'LabelMap'.*Labels"
    ):
        copied.read_label('edge', 'train_00000')
    with pytest.raises(SampleError, match='label normals of sample train_00000'):
        copied.read_label('normals', 'train_00000')
