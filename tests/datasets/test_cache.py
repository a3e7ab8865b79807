"""A cached label is the label, and is not used once its sources have changed."""

import json
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mtl.datasets import ClothingCoParsing, NYUDv2, PASCALContext, cache
from mtl.datasets.cache import LabelCache

CACHED = {'semseg', 'human_parts', 'saliency', 'normals', 'edge'}


@pytest.fixture
def root(pascal, tmp_path):
    return shutil.copytree(pascal.root, tmp_path / 'copy')


def labels(dataset):
    return {(name, i): dataset.read_label(name, i) for name in dataset.tasks for i in dataset.ids}


def test_cached_labels_are_the_labels(root):
    sources = labels(PASCALContext(root, cache_root=None))
    assert not (root / 'cache').exists()
    filling = labels(PASCALContext(root, fill_cache=True))
    assert {path.name for path in (root / 'cache').iterdir()} == CACHED
    assert all(len(list((root / 'cache' / name).iterdir())) == 4 for name in CACHED)
    cached = labels(PASCALContext(root))
    for key, label in sources.items():
        for other in (filling[key], cached[key]):
            assert other.dtype == label.dtype
            np.testing.assert_array_equal(other, label)


def test_cached_labels_of_photographs_are_the_labels(ccp):
    sources = labels(ClothingCoParsing(ccp.root, cache_root=None))
    labels(ClothingCoParsing(ccp.root, fill_cache=True))
    for key, label in labels(ClothingCoParsing(ccp.root)).items():
        np.testing.assert_array_equal(label, sources[key])


def test_cached_labels_of_rooms_are_the_labels(nyud, tmp_path):
    """What is stored in floats is read as fast from its own files."""
    sources = labels(NYUDv2(nyud.root, cache_root=None))
    labels(NYUDv2(nyud.root, cache_root=tmp_path, fill_cache=True))
    bytes_of_normals = {'normals'} if nyud.edition == 'atrc' else set()
    assert {path.name for path in tmp_path.iterdir()} == {'semseg', 'edge'} | bytes_of_normals
    for key, label in labels(NYUDv2(nyud.root, cache_root=tmp_path)).items():
        assert label.dtype == sources[key].dtype
        np.testing.assert_array_equal(label, sources[key])


def test_a_cached_label_may_be_written_to(root):
    labels(PASCALContext(root, fill_cache=True))
    for label in labels(PASCALContext(root)).values():
        label[:] = 0


def test_the_cache_is_what_is_read(root, tmp_path):
    """Or the tests of equality would say nothing: marked files are found again. Its place is free, too."""
    labels(PASCALContext(root, fill_cache=True, cache_root=tmp_path / 'elsewhere'))
    assert not (root / 'cache').exists()
    path = tmp_path / 'elsewhere/edge/train_00000.map'
    header, _, compressed = path.read_bytes().partition(b'\n')
    assert json.loads(header)['shape'] == [40, 56]
    assert len(zlib.decompress(compressed)) == 40 * 56
    path.write_bytes(header + b'\n' + zlib.compress(bytes([1]) * 40 * 56))
    dataset = PASCALContext(root, cache_root=tmp_path / 'elsewhere')
    assert dataset.read_label('edge', 'train_00000').all()
    assert not PASCALContext(root).read_label('edge', 'train_00000').all()


def touched(root):
    os.utime(root / 'pascal-context/trainval/train_00000.mat', ns=(1, 1))


def rewritten(root):
    path = root / 'pascal-context/trainval/train_00000.mat'
    savemat(path, {'LabelMap': np.kron(np.eye(2), np.ones((20, 28))).astype(np.uint16)})


def damaged(root):
    path = root / 'cache/edge/train_00000.map'
    path.write_bytes(path.read_bytes()[:-9])


def without_its_header(root):
    path = root / 'cache/edge/train_00000.map'
    path.write_bytes(path.read_bytes().partition(b'\n')[2])


def of_another_size(root):
    path = root / 'cache/edge/train_00000.map'
    header = path.read_bytes().partition(b'\n')[0]
    path.write_bytes(header + b'\n' + zlib.compress(bytes(40)))


def with_a_wrong_byte(root):
    path = root / 'cache/edge/train_00000.map'
    content = bytearray(path.read_bytes())
    content[-2] ^= 1  # of the sum
    path.write_bytes(content)


@pytest.mark.parametrize(
    'change', [touched, rewritten, damaged, without_its_header, of_another_size, with_a_wrong_byte]
)
def test_a_stale_or_damaged_map_is_read_from_its_source(root, change):
    labels(PASCALContext(root, fill_cache=True))
    path = root / 'cache/edge/train_00000.map'
    change(root)
    before = path.read_bytes()
    expected = PASCALContext(root, cache_root=None).read_label('edge', 'train_00000')
    np.testing.assert_array_equal(PASCALContext(root).read_label('edge', 'train_00000'), expected)
    assert path.read_bytes() == before  # only filling writes
    PASCALContext(root, fill_cache=True).read_label('edge', 'train_00000')
    assert path.read_bytes() != before
    np.testing.assert_array_equal(PASCALContext(root).read_label('edge', 'train_00000'), expected)


def test_a_new_format_outdates_all(root, monkeypatch):
    labels(PASCALContext(root, fill_cache=True))
    before = (root / 'cache/edge/train_00000.map').read_bytes()
    monkeypatch.setattr(cache, 'FORMAT', cache.FORMAT + 1)
    PASCALContext(root, fill_cache=True).read_label('edge', 'train_00000')
    assert (root / 'cache/edge/train_00000.map').read_bytes() != before


def test_absent_labels_are_not_cached(root):
    (root / 'human_parts/train_00000.mat').unlink()
    assert PASCALContext(root, fill_cache=True).read_label('human_parts', 'train_00000') is None
    assert not (root / 'cache').exists()


def test_an_interruption_leaves_no_half_written_file(root, monkeypatch):
    def interrupted(path, content):
        with path.open('wb') as file:
            file.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, 'write_bytes', interrupted)
    dataset = PASCALContext(root, fill_cache=True)
    with pytest.raises(KeyboardInterrupt):
        dataset.read_label('edge', 'train_00000')
    assert list((root / 'cache/edge').iterdir()) == []


def test_a_place_that_cannot_be_written_is_no_reason_to_stop(root):
    (root / 'cache').write_text('a file where the folder should be')
    dataset = PASCALContext(root, fill_cache=True)
    assert dataset.read_label('edge', 'train_00000') is not None
    assert dataset.cache.fill is False


def test_any_bytes_survive(tmp_path):
    source = tmp_path / 'source'
    source.write_text('x')
    for shape in [(3, 5), (4, 4, 3)]:
        values = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        LabelCache(tmp_path / 'c', fill=True).get('a', str(shape), [source], lambda _, values=values: values)
        back = LabelCache(tmp_path / 'c').get('a', str(shape), [source], lambda _: pytest.fail('not cached'))
        np.testing.assert_array_equal(back, values)
