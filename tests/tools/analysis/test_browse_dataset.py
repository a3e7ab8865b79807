"""Panels of a data set after its pipeline."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mtl.mini_scenes import write_pascal
from mtl.registry import DATASETS
from mtl.tasks import build_tasks
from mtl.visualization import draw_labels

PASCAL = Path(__file__).resolve().parents[3] / 'configs/mtlora_swin_pascal.py'


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write_pascal(tmp_path / 'PASCAL_MT', 3, 2, (40, 56), seed=2)
    next(iter((root / 'normals_distill').glob('*'))).unlink()
    return root


def test_labels_as_the_network_sees_them(run_tool, root):
    options = ('--split', 'val', '--count', '2', '--out-dir', 'browsed', '--cfg-options', f'data_root={root}')
    status, output, error = run_tool('analysis/browse_dataset', PASCAL, *options)
    assert status == 0, error
    assert '2 of 2 images of the split val, in browsed.' in output
    config = Config.fromfile(PASCAL)
    init_default_scope('mtl')
    dataset = DATASETS.build({**config.val_dataloader.dataset, 'data_root': str(root)})
    packed = dataset[0]
    image = packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]
    expected = draw_labels(np.ascontiguousarray(image), packed['data_samples'], build_tasks(config.tasks))
    written = cv2.imread(f'browsed/{packed["data_samples"].sample_id}.png')[..., ::-1]
    assert np.array_equal(written, expected)


def test_augmentation_repeats_with_its_seed_and_missing_labels_are_named(run_tool, root):
    def panels(out_dir, seed):
        options = ('--out-dir', out_dir, '--seed', seed, '--cfg-options', f'data_root={root}')
        status, output, error = run_tool('analysis/browse_dataset', PASCAL, *options)
        assert status == 0, error
        assert output.count('no label for') >= 1
        assert 'normals' in output
        return [path.read_bytes() for path in sorted(Path(out_dir).iterdir())]

    first = panels('a', 0)
    assert len(first) == 3
    assert panels('b', 0) == first
    assert panels('c', 1) != first


def test_missing_data_are_a_sentence(run_tool, tmp_path):
    options = ('--cfg-options', f'data_root={tmp_path / "nowhere"}')
    status, _, error = run_tool('analysis/browse_dataset', PASCAL, *options)
    assert status == 2
    assert 'make_mini_scenes.py' in error
