import numpy as np
import pytest
from scipy.io import savemat

from mtl.datasets import ClothingCoParsing
from mtl.datasets.ccp import MERGED, PUBLISHED_LABELS
from mtl.tasks import CLASS_SETS

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='ccp_10'),
    saliency=dict(type='Saliency'),
    edge=dict(type='Boundary'),
)


def test_each_published_label_is_in_one_class():
    assert tuple(MERGED) == CLASS_SETS['ccp_10'].names
    assert len(PUBLISHED_LABELS) == len(set(PUBLISHED_LABELS)) == 59
    assert PUBLISHED_LABELS[0] == 'null'


def test_labels_follow_from_the_annotation(ccp):
    dataset = ClothingCoParsing(ccp.root, TASKS)
    for sample_id, annotation in ccp.annotations.items():
        semseg, saliency, edge = (dataset.read_label(name, sample_id) for name in TASKS)
        assert semseg.dtype == saliency.dtype == edge.dtype == np.uint8
        for y, x in np.ndindex(*annotation.shape):
            name = PUBLISHED_LABELS[annotation[y, x]]
            assert name in MERGED[CLASS_SETS['ccp_10'].names[semseg[y, x]]]
        np.testing.assert_array_equal(saliency, annotation != 0)
        # the annotation is of 8 x 8 blocks: only their rims can be boundaries, and are where the labels differ
        inside = np.kron(np.ones((5, 7)), np.pad(np.ones((6, 6)), 1)).astype(bool)
        assert not edge[inside].any()
        differ = annotation[:, 7:-1:8] != annotation[:, 8::8]
        touched = edge[:, 7:-1:8] | edge[:, 8::8]
        assert touched[differ].mean() > 0.8  # thinning eats a pixel here and there, at corners


def test_names_of_the_label_list_decide(ccp):
    names = list(reversed(PUBLISHED_LABELS))
    cells = np.empty((1, 59), object)
    cells[0] = names
    savemat(ccp.root / 'label_list.mat', {'label_list': cells})
    dataset = ClothingCoParsing(ccp.root, TASKS)
    semseg = dataset.read_label('semseg', '0001')
    for y, x in np.ndindex(*semseg.shape):
        assert names[ccp.annotations['0001'][y, x]] in MERGED[CLASS_SETS['ccp_10'].names[semseg[y, x]]]


def test_lists_say_which_photographs(ccp):
    assert ClothingCoParsing(ccp.root, TASKS).ids == ['0001', '0003', '0005', '0008']
    assert ClothingCoParsing(ccp.root, TASKS, split='val').ids == ['0002', '0013']


def test_a_clone_without_lists_is_split_by_name(ccp):
    for file in ('train.txt', 'val.txt'):
        (ccp.root / file).unlink()
    for number in range(100, 110):
        savemat(ccp.root / f'annotations/pixel-level/0{number}.mat', {'groundtruth': np.zeros((2, 2), np.uint8)})
    train, val = (ClothingCoParsing(ccp.root, TASKS, split=split).ids for split in ('train', 'val'))
    assert val == ['0100', '0107']
    assert sorted(train + val) == sorted([*ccp.annotations, *(f'0{number}' for number in range(100, 110))])


def test_an_empty_folder_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'(?s)train.txt is missing.*photos/<id>.jpg.*git clone'):
        ClothingCoParsing(tmp_path, TASKS)


def test_the_real_photographs(shared_folder):
    root = shared_folder / 'data/ccp'
    if not root.is_dir():
        pytest.skip('no Clothing Co-Parsing in ../shared')
    dataset = ClothingCoParsing(root, TASKS, split='val')
    assert len(dataset) == 104
    counts = np.zeros(10, int)
    for sample_id in dataset.ids[:4]:
        semseg = dataset.read_label('semseg', sample_id)
        np.testing.assert_array_equal(semseg > 0, dataset.read_label('saliency', sample_id))
        counts += np.bincount(semseg.ravel(), minlength=10)
    assert counts[:3].all()  # background, skin and hair are in any photograph of people
    built_in = ClothingCoParsing(root, TASKS, split='val')
    built_in.root = root / 'photos'  # where there is no list of labels
    np.testing.assert_array_equal(built_in.class_of_label, dataset.class_of_label)
