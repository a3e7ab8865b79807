"""Small data sets on disk, in the published layouts."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtl.mini_scenes import render_scene, write_nyud, write_pascal
from mtl.mini_scenes.writing import Recipe

SIZE = (40, 56)


def scenes(recipe, place=None):
    return {sample_id: render_scene(seed, SIZE, place=place) for sample_id, seed in recipe.samples()}


@pytest.fixture(scope='session')
def pascal(tmp_path_factory):
    """``root`` of a data set in the layout of PASCAL-Context, and its ``scenes`` by sample id."""
    root = write_pascal(tmp_path_factory.mktemp('pascal') / 'PASCAL_MT', 4, 2, SIZE, seed=2)
    return SimpleNamespace(root=root, scenes=scenes(Recipe('pascal', '', 4, 2, SIZE, 2, 'day')))


@pytest.fixture(scope='session', params=['mti', 'atrc'])
def nyud(request, tmp_path_factory):
    """``root`` of a data set in the layout of an ``edition`` of NYUD-v2, and its ``scenes`` by sample id."""
    edition = request.param
    root = write_nyud(tmp_path_factory.mktemp(edition) / 'NYUD_MT', 2, 1, SIZE, seed=3, edition=edition)
    recipe = Recipe('nyud', edition, 2, 1, SIZE, 3, 'day')
    return SimpleNamespace(root=root, edition=edition, scenes=scenes(recipe, 'room'))


@pytest.fixture
def ccp(tmp_path):
    """``root`` of six photographs in the layout of Clothing Co-Parsing, and their ``annotations`` by id."""
    root, rng = tmp_path / 'ccp', np.random.default_rng(0)
    for folder in ('photos', 'annotations/pixel-level'):
        (root / folder).mkdir(parents=True)
    annotations = {}
    for sample_id in ('0001', '0002', '0003', '0005', '0008', '0013'):
        annotations[sample_id] = np.kron(rng.integers(0, 59, (5, 7)), np.ones((8, 8))).astype(np.uint8)
        savemat(root / f'annotations/pixel-level/{sample_id}.mat', {'groundtruth': annotations[sample_id]})
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(root / f'photos/{sample_id}.jpg')
    (root / 'train.txt').write_text('0001\n0003\n0005\n0008\n')
    (root / 'val.txt').write_text('0002\n0013\n')
    return SimpleNamespace(root=root, annotations=annotations)
