"""A cached label is the label, and is not used once its sources have changed."""

import os
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtl.datasets import ClothingCoParsing, PASCALContext, cache
from mtl.datasets.cache import LabelCache

SLOW = {'human_parts', 'normals', 'edge'}


@pytest.fixture
def root(pascal, tmp_path):
    return shutil.copytree(pascal.root, tmp_path / 'copy')


def labels(dataset):
    return {(name, i): dataset.read_label(name, i) for name in dataset.tasks for i in dataset.ids}


def test_cached_labels_are_the_labels(root):
    sources = labels(PASCALContext(root, cache_root=None))
    assert not (root / 'cache').exists()
    filling = labels(PASCALContext(root, fill_cache=True))
    assert {path.name for path in (root / 'cache').iterdir()} == SLOW
    assert all(len(list((root / 'cache' / name).iterdir())) == 4 for name in SLOW)
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


def test_the_cache_is_what_is_read(root, tmp_path):
    """Or the tests of equality would say nothing: marked files are found again. Its place is free, too."""
    labels(PASCALContext(root, fill_cache=True, cache_root=tmp_path / 'elsewhere'))
    assert not (root / 'cache').exists()
    path = tmp_path / 'elsewhere/edge/train_00000.png'
    with Image.open(path) as picture:
        state = picture.info['state']
    ones = np.full((40, 56), 1, np.uint8)
    marked = Image.fromarray(ones)
    text = cache.PngImagePlugin.PngInfo()
    text.add_text('state', state)
    text.add_text('crc', str(zlib.crc32(ones.tobytes())))
    marked.save(path, pnginfo=text)
    dataset = PASCALContext(root, cache_root=tmp_path / 'elsewhere')
    assert dataset.read_label('edge', 'train_00000').all()
    assert not PASCALContext(root).read_label('edge', 'train_00000').all()


def touched(root):
    os.utime(root / 'pascal-context/trainval/train_00000.mat', ns=(1, 1))


def rewritten(root):
    path = root / 'pascal-context/trainval/train_00000.mat'
    savemat(path, {'LabelMap': np.kron(np.eye(2), np.ones((20, 28))).astype(np.uint16)})


def damaged(root):
    path = root / 'cache/edge/train_00000.png'
    path.write_bytes(path.read_bytes()[:60])


@pytest.mark.parametrize('change', [touched, rewritten, damaged])
def test_a_stale_or_damaged_map_is_read_from_its_source(root, change):
    labels(PASCALContext(root, fill_cache=True))
    path = root / 'cache/edge/train_00000.png'
    change(root)
    before = path.read_bytes()
    expected = PASCALContext(root, cache_root=None).read_label('edge', 'train_00000')
    np.testing.assert_array_equal(PASCALContext(root).read_label('edge', 'train_00000'), expected)
    assert path.read_bytes() == before  # only filling writes
    PASCALContext(root, fill_cache=True).read_label('edge', 'train_00000')
    assert path.read_bytes() != before
    with Image.open(path) as picture:
        np.testing.assert_array_equal(picture, expected)


def test_a_new_format_outdates_all(root, monkeypatch):
    labels(PASCALContext(root, fill_cache=True))
    before = (root / 'cache/edge/train_00000.png').read_bytes()
    monkeypatch.setattr(cache, 'FORMAT', cache.FORMAT + 1)
    PASCALContext(root, fill_cache=True).read_label('edge', 'train_00000')
    assert (root / 'cache/edge/train_00000.png').read_bytes() != before


def test_absent_labels_are_not_cached(root):
    (root / 'human_parts/train_00000.mat').unlink()
    assert PASCALContext(root, fill_cache=True).read_label('human_parts', 'train_00000') is None
    assert not (root / 'cache').exists()


def test_an_interruption_leaves_no_half_written_file(root, monkeypatch):
    def interrupted(picture, path, **options):
        path.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, 'save', interrupted)
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
