"""The written folders, read again by the plain rules of the published archives, against the scenes they came from."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

from mtl.mini_scenes import render_scene, write_nyud, write_pascal
from mtl.mini_scenes.writing import Recipe

SIZE = (48, 64)
PARTS = {
    1: 'hair head lear rear lebrow rebrow leye reye mouth nose',
    2: 'torso neck',
    3: 'luarm ruarm',
    4: 'llarm rlarm lhand rhand',
    5: 'luleg ruleg',
    6: 'llleg rlleg lfoot rfoot',
}
PART_CLASS = {name: part for part, names in PARTS.items() for name in names.split()}


@pytest.fixture(scope='module')
def pascal(tmp_path_factory):
    root = write_pascal(tmp_path_factory.mktemp('data') / 'PASCAL_MT', 6, 3, SIZE, seed=1)
    scenes = {i: render_scene(s, SIZE) for i, s in Recipe('pascal', '', 6, 3, SIZE, 1, 'day').samples()}
    return root, scenes


def ids(path):
    return path.read_text().split()


def test_pascal_lists_and_files(pascal):
    root, scenes = pascal
    train, val = (ids(root / f'ImageSets/Context/{split}.txt') for split in ('train', 'val'))
    assert (len(train), len(val)) == (6, 3)
    assert train + val == list(scenes)
    files = {
        'JPEGImages': '.jpg', 'human_parts': '.mat', 'pascal-context/trainval': '.mat', 'normals_distill': '.png',
        'sal_distill': '.png', 'depth': '.npy',
    }  # fmt: skip
    for folder, suffix in files.items():
        assert sorted(p.name for p in (root / folder).iterdir()) == sorted(i + suffix for i in scenes)
    halves = [{p.stem for p in (root / 'semseg' / half).iterdir()} for half in ('VOC12', 'pascal-context')]
    assert all(halves)
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(scenes)
    assert json.loads((root / 'mini_scenes.json').read_text())['size'] == list(SIZE)


def test_pascal_pixels(pascal):
    root, scenes = pascal
    for sample_id, scene in scenes.items():
        jpeg = np.asarray(Image.open(root / f'JPEGImages/{sample_id}.jpg'))
        assert np.abs(jpeg.astype(float) - scene.image).mean() < 5  # channel order, and quality 95
        voc = root / f'semseg/VOC12/{sample_id}.png'
        png = voc if voc.exists() else root / f'semseg/pascal-context/{sample_id}.png'
        np.testing.assert_array_equal(np.asarray(Image.open(png)), scene.semseg)
        np.testing.assert_array_equal(Image.open(root / f'sal_distill/{sample_id}.png'), 255 * scene.saliency)
        label_map = loadmat(root / f'pascal-context/trainval/{sample_id}.mat')['LabelMap']
        assert label_map.dtype == np.uint16
        np.testing.assert_array_equal(label_map, scene.label_map)
        normals = np.asarray(Image.open(root / f'normals_distill/{sample_id}.png')) / 255 * 2 - 1
        assert np.abs(normals - scene.normals).max() < 0.5 / 127 + 1e-6
        np.testing.assert_array_equal(np.load(root / f'depth/{sample_id}.npy'), scene.depth)


def test_pascal_parts_read_by_the_published_indices(pascal):
    root, scenes = pascal
    without_parts = 0
    for sample_id, scene in scenes.items():
        objects = loadmat(root / f'human_parts/{sample_id}.mat')['anno'][0][0][1][0]
        parts = np.zeros(SIZE, np.uint8)
        people = 0
        claimed = np.zeros(SIZE, int)
        for i in range(len(objects)):
            mask = objects[i][2]
            claimed += mask
            assert (scene.semseg[mask == 1] == objects[i][1][0][0]).all()
            if objects[i][1][0][0] != 15:
                continue
            if len(objects[i][3]) == 0:
                without_parts += 1
                continue
            people += 1
            for j in range(len(objects[i][3][0])):
                name, part_mask = objects[i][3][0][j][0][0], objects[i][3][0][j][1]
                assert not (part_mask & ~mask.astype(bool)).any()
                parts[part_mask != 0] = PART_CLASS[name]
        np.testing.assert_array_equal(claimed, scene.semseg > 0)
        np.testing.assert_array_equal(scene.human_parts, parts if people else np.full(SIZE, 255))
    assert without_parts


def test_mat_files_hold_no_time_of_writing(pascal):
    root, _ = pascal
    headers = {path.read_bytes()[:116] for path in root.rglob('*.mat')}
    assert headers == {b'MATLAB 5.0 MAT-file, MiniScenes'.ljust(116)}


@pytest.mark.parametrize('edition', ['mti', 'atrc'])
def test_nyud(tmp_path, edition):
    root = write_nyud(tmp_path / 'NYUD_MT', 2, 1, SIZE, seed=2, edition=edition)
    scenes = {}
    for sample_id, seed in Recipe('nyud', edition, 2, 1, SIZE, 2, 'day').samples():
        scenes[sample_id] = render_scene(seed, SIZE, place='room')
    assert ids(root / 'gt_sets/train.txt') + ids(root / 'gt_sets/val.txt') == list(scenes)
    suffix = dict(images='jpg', normals='npy', edge='npy') if edition == 'mti' else dict.fromkeys(
        ('images', 'normals', 'edge'), 'png')  # fmt: skip
    for sample_id, scene in scenes.items():

        def read(folder, sample_id=sample_id):
            path = root / folder / f'{sample_id}.{suffix[folder]}'
            return np.load(path) if path.suffix == '.npy' else np.asarray(Image.open(path))

        assert np.abs(read('images').astype(float) - scene.image).mean() < 5
        stored = cv2.imread(str(root / f'segmentation/{sample_id}.png'), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(np.where(stored == 0, 255, stored.astype(int) - 1), scene.nyud)
        np.testing.assert_array_equal(np.load(root / f'depth/{sample_id}.npy'), scene.depth)
        if edition == 'mti':
            np.testing.assert_array_equal(read('normals'), scene.normals)
            np.testing.assert_array_equal(read('edge'), scene.edge)
        else:
            assert np.abs(read('normals') / 255 * 2 - 1 - scene.normals).max() < 0.5 / 127 + 1e-6
            np.testing.assert_array_equal(read('edge') / 255, scene.edge)
    assert len(list(root.rglob('*.*'))) == 3 * 5 + 2 + 1
