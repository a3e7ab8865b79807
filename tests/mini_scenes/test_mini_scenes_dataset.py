"""MiniScenes as a data set: made on first use, labelled for all six tasks, cached as it is read."""

import numpy as np
import pytest

from mtl.mini_scenes import MiniScenes, render_scene
from mtl.mini_scenes.writing import Recipe

OPTIONS = dict(num_train=2, num_val=1, size=(24, 32), seed=1, jobs=1)


def test_made_once_with_labels_of_all_tasks(tmp_path):
    dataset = MiniScenes(tmp_path / 'scenes', **OPTIONS)
    assert list(dataset.tasks) == ['semseg', 'human_parts', 'saliency', 'normals', 'edge', 'depth']
    assert dataset.ids == ['train_00000', 'train_00001']
    record = (tmp_path / 'scenes/mini_scenes.json').stat().st_mtime_ns
    again = MiniScenes(tmp_path / 'scenes', **OPTIONS, split='val')
    assert again.ids == ['val_00000']
    assert (tmp_path / 'scenes/mini_scenes.json').stat().st_mtime_ns == record
    for sample_id, seed in Recipe('pascal', '', 2, 1, (24, 32), 1, 'day').samples():
        scene = render_scene(seed, (24, 32))
        for name in ('semseg', 'human_parts', 'saliency', 'depth'):
            np.testing.assert_array_equal(dataset.read_label(name, sample_id), getattr(scene, name))


def test_other_arguments_need_another_folder(tmp_path):
    MiniScenes(tmp_path / 'scenes', **OPTIONS)
    with pytest.raises(FileExistsError, match=r"'seed': 2.*'seed': 1"):
        MiniScenes(tmp_path / 'scenes', **{**OPTIONS, 'seed': 2})


def test_slow_labels_are_cached_on_first_reading(tmp_path):
    dataset = MiniScenes(tmp_path / 'scenes', **OPTIONS)
    first = {name: dataset.read_label(name, 'train_00000') for name in dataset.tasks}
    cached = sorted(str(path.relative_to(tmp_path / 'scenes/cache')) for path in tmp_path.glob('scenes/cache/*/*'))
    assert cached == ['edge/train_00000.png', 'human_parts/train_00000.png', 'normals/train_00000.png']
    for name, label in first.items():
        np.testing.assert_array_equal(dataset.read_label(name, 'train_00000'), label)
