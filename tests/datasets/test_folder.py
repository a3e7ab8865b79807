"""Somebody's own folder: pictures, masks, depth."""

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import ConcatDataset
from PIL import Image

from mtl.datasets import FolderDataset, SampleError
from mtl.registry import DATASETS

SIZE = (6, 8)
TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    depth=dict(type='Depth'),
)
FILES = dict(
    image='images/{id}.png',
    semseg=dict(path='masks/{id}_mask.png', values={0: 255, 1: 0, 2: 1, 3: 2}),
    saliency=dict(path='salient/{id}.png', values={255: 1}),
    normals='normals/{id}.png',
    depth='depth/{id}.npy',
)
PACKED = [dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='Pack')]


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


@pytest.fixture
def own(tmp_path):
    """Two images, one of them without depth, and what their labels mean."""
    rng = np.random.default_rng(0)
    stored = rng.integers(0, 4, SIZE, dtype=np.uint8)
    for sample_id in ('train/a', 'train/b', 'val/c'):
        save(tmp_path / f'images/{sample_id}.png', rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8))
        save(tmp_path / f'masks/{sample_id}_mask.png', stored)
        save(tmp_path / f'salient/{sample_id}.png', (stored == 3).astype(np.uint8) * 255)
        save(tmp_path / f'normals/{sample_id}.png', np.full((*SIZE, 3), (128, 128, 255), np.uint8))
    save(tmp_path / 'depth/train/a.npy', np.full((*SIZE, 1), 2.5))
    return tmp_path, stored


def test_labels_are_what_the_files_mean(own):
    root, stored = own
    data = FolderDataset(root, FILES, TASKS, split='train/*', pipeline=PACKED)
    assert data.ids == ['train/a', 'train/b']
    a, b = (item['data_samples'] for item in data)
    for y in range(SIZE[0]):
        for x in range(SIZE[1]):
            assert a.gt_semseg[y, x] == {0: 255, 1: 0, 2: 1, 3: 2}[int(stored[y, x])]
            assert a.gt_saliency[y, x] == (stored[y, x] == 3)
    assert (a.gt_normals[2] > 0.99).all()
    assert a.gt_depth.shape == SIZE
    assert (a.gt_depth == 2.5).all()
    assert not b.has_label('depth')
    assert b.has_label('normals')


def test_lists_of_ids(own):
    root, _ = own
    (root / 'few.txt').write_text('train/b\nval/c\n')
    (root / 'train.txt').write_text('train/a\n')
    assert FolderDataset(root, FILES, TASKS).ids == ['train/a']
    assert FolderDataset(root, FILES, TASKS, split='few', splits=dict(few='few.txt')).ids == ['train/b', 'val/c']
    assert FolderDataset(root, FILES, TASKS, split=str(root / 'few.txt')).ids == ['train/b', 'val/c']
    with pytest.raises(FileNotFoundError, match=r'masks/\{id\}_mask.png'):
        FolderDataset(root, FILES, TASKS, split='val')
    with pytest.raises(FileNotFoundError, match='no image matches'):
        FolderDataset(root, FILES, TASKS, split='test/*')


def test_millimetres(own):
    root, _ = own
    save(root / 'millimetres/val/c.png', np.full(SIZE, 1500, np.uint16))
    options = dict(tasks=dict(depth=TASKS['depth']), split='val/*', pipeline=PACKED)
    in_metres = FolderDataset(root, dict(FILES, depth=dict(path='millimetres/{id}.png', scale=0.001)), **options)
    np.testing.assert_allclose(in_metres[0]['data_samples'].gt_depth, 1.5, rtol=1e-6)
    with pytest.raises(SampleError, match='looks like millimetres'):
        FolderDataset(root, dict(FILES, depth='millimetres/{id}.png'), **options)[0]


def test_a_file_that_holds_something_else_is_named(own):
    root, _ = own
    data = FolderDataset(
        root, dict(FILES, semseg='masks/{id}_mask.png'), dict(semseg=TASKS['semseg']), split='val/*', pipeline=PACKED
    )
    with pytest.raises(SampleError, match=r'val/c_mask\.png\) must hold 0 to 2 or 255; found 3'):
        data[0]


def test_what_cannot_be(own):
    root, _ = own
    with pytest.raises(ValueError, match=r'no labels for depth. It has: semseg'):
        FolderDataset(root, {k: v for k, v in FILES.items() if k != 'depth'}, TASKS)
    with pytest.raises(ValueError, match=r"files\['depth'\] must be a path with \{id\}"):
        FolderDataset(root, dict(FILES, depth='depth.npy'), TASKS)
    with pytest.raises(ValueError, match=r"files\['depth'\]"):
        FolderDataset(root, dict(FILES, depth=dict(path='depth/{id}.npy', unit='mm')), TASKS)
    with pytest.raises(ValueError, match=r"files\['image'\]"):
        FolderDataset(root, dict(depth='depth/{id}.npy'), dict(depth=TASKS['depth']))


def test_another_name_for_a_label(own):
    root, _ = own
    data = FolderDataset(
        root, FILES, dict(range=TASKS['depth']), split='train/*', labels=dict(range='depth'), pipeline=PACKED
    )
    assert (data[0]['data_samples'].gt_range == 2.5).all()


def test_from_a_config_file(own, tmp_path):
    """Keys that are numbers survive a config, and the dump of it that a checkpoint carries."""
    root, _ = own
    config = tmp_path / 'config.py'
    config.write_text(
        f"data = dict(type='FolderDataset', data_root={str(root)!r}, split='val/*', files={FILES!r}, tasks={TASKS!r})\n"
    )
    first = Config.fromfile(config)
    again = Config.fromstring(first.pretty_text, '.py')
    for found in (first, again):
        assert DATASETS.build(found.data).files['semseg']['values'] == {0: 255, 1: 0, 2: 1, 3: 2}


def test_images_without_labels(own):
    root, _ = own
    data = FolderDataset(root, dict(image='images/{id}.png'), tasks={}, split='*/*', pipeline=PACKED)
    assert len(data) == 3
    for item in data:
        assert not any(item['data_samples'].has_label(name) for name in TASKS)
    labelled = FolderDataset(root, FILES, TASKS, split='train/*', pipeline=PACKED)
    both = ConcatDataset([labelled, data])
    assert [both[index]['data_samples'].has_label('semseg') for index in range(5)] == [True, True, False, False, False]
