"""Every kind of damage is found, named, and counted once."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtl.datasets import PASCALContext
from mtl.datasets.preparation import Findings, inspect, inspect_config
from mtl.registry import DATASETS


def findings(kind, root, jobs=1, write_cache=False):
    total = Findings()
    for split in ('train', 'val'):
        for found in inspect(dict(type=kind, data_root=root, split=split), write_cache, jobs)[1]:
            total.add(found)
    return total


@pytest.fixture
def root(pascal, tmp_path):
    return shutil.copytree(pascal.root, tmp_path / 'copy')


def test_whole_data_sets(pascal, nyud, ccp):
    for kind, root, labels in [('PASCALContext', pascal.root, 5), ('NYUDv2', nyud.root, 4)]:
        found = findings(kind, root)
        assert found.problems == []
        assert found.samples == len(list((root / 'depth').iterdir()))
        assert len(found.good) == 1 + labels
        assert set(found.good.values()) == {found.samples}
    assert findings('ClothingCoParsing', ccp.root).good == dict(image=6, semseg=6, saliency=6, edge=6)


def test_each_damage_is_named(root):
    """One sample each; a broken label map spoils both labels that are made from it."""
    image = root / 'JPEGImages/train_00000.jpg'
    image.write_bytes(image.read_bytes()[:200])
    (root / 'JPEGImages/val_00000.jpg').unlink()
    savemat(root / 'pascal-context/trainval/train_00001.mat', {'wrong': np.zeros((40, 56))})
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(root / 'sal_distill/train_00002.png')
    Image.fromarray(np.full((40, 56), 77, np.uint8)).save(root / 'semseg/pascal-context/train_00003.png')
    (root / 'human_parts/val_00001.mat').unlink()
    found = findings('PASCALContext', root)
    problems = {(p.of, p.kind): p.message for p in found.problems}
    assert set(problems) == {
        ('image', 'unreadable'),
        ('image', 'missing'),
        ('normals', 'unreadable'),
        ('edge', 'unreadable'),
        ('saliency', 'wrong size'),
        ('semseg', 'out of range'),
        ('human_parts', 'missing'),
    }
    for key, path in {
        ('image', 'unreadable'): image,
        ('image', 'missing'): root / 'JPEGImages/val_00000.jpg',
        ('edge', 'unreadable'): root / 'pascal-context/trainval/train_00001.mat',
        ('saliency', 'wrong size'): root / 'sal_distill/train_00002.png',
        ('semseg', 'out of range'): root / 'semseg/pascal-context/train_00003.png',
        ('human_parts', 'missing'): root / 'human_parts/val_00001.mat',
    }.items():
        assert str(path) in problems[key]
        assert f'sample {path.stem}' in problems[key]
    assert found.good == dict(image=4, semseg=5, human_parts=5, saliency=5, normals=5, edge=5)
    rows = {line.split()[0]: line.split()[1:] for line in found.table(['image', 'semseg']).splitlines()[1:]}
    assert rows == dict(image=['6', '4', '1', '1', '0', '0', '0'], semseg=['6', '5', '0', '0', '0', '1', '0'])


def test_depth_that_is_not_metres(nyud, tmp_path):
    root = shutil.copytree(nyud.root, tmp_path / 'copy')
    np.save(root / 'depth/train_00000.npy', np.full((40, 56), 2500.0))
    np.save(root / 'depth/train_00001.npy', np.full((40, 56), -1.0))
    np.save(root / 'depth/val_00000.npy', np.full((40, 56), np.nan))
    messages = {problem.message for problem in findings('NYUDv2', root).problems}
    assert len(messages) == 3
    assert any('holds no known pixel' in message for message in messages)
    assert any('looks like millimetres' in message for message in messages)
    assert any('must not be negative' in message for message in messages)


def test_labels_of_photographs_out_of_range(ccp):
    savemat(ccp.root / 'annotations/pixel-level/0001.mat', {'groundtruth': np.full((40, 56), 59, np.uint8)})
    found = findings('ClothingCoParsing', ccp.root)
    assert len(found.problems) == 3
    assert all('must be 0 to 58; found 59' in problem.message for problem in found.problems)


def test_processes_and_cache_change_no_finding(root):
    Image.fromarray(np.zeros((7, 9), np.uint8)).save(root / 'sal_distill/train_00002.png')
    alone = findings('PASCALContext', root)
    assert not (root / 'cache').exists()
    assert findings('PASCALContext', root, jobs=2, write_cache=True) == alone
    assert len(list((root / 'cache/edge').iterdir())) == 6
    assert findings('PASCALContext', root, write_cache=True) == alone


@DATASETS.register_module()
class Unlisted(PASCALContext):
    """No file is named for the saliency of one sample, and for normals of none."""

    def label_files(self, name, sample_id):
        unlisted = name == 'normals' or (name == 'saliency' and sample_id == 'train_00000')
        return [] if unlisted else super().label_files(name, sample_id)


def test_a_label_for_which_no_file_is_named_is_missing(root, monkeypatch):
    warnings = []
    monkeypatch.setattr('mtl.datasets.base.print_log', lambda message, *options: warnings.append(message))
    tasks = dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals'))
    config = dict(type='Unlisted', data_root=root, split='train', tasks=tasks)
    total = Findings()
    for found in inspect_config(config, False)[2]:
        total.add(found)
    assert total.absent == dict(saliency=1, normals=4)
    assert total.good == dict(image=4, saliency=3)
    assert not total.problems
    assert any('has a label for normals' in warning for warning in warnings)
    assert not any('has a label for saliency' in warning for warning in warnings)
