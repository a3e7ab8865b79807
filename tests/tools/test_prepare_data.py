"""The command: a table, the broken files by name, and a status."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mtl.datasets.mini_scenes import write_nyud

TOOL = Path(__file__).resolve().parents[2] / 'tools/prepare_data.py'


def prepare(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_status_and_report(tmp_path):
    root = write_nyud(tmp_path / 'NYUD_MT', 2, 1, (16, 24), seed=0)
    whole = prepare('nyud', root, '--jobs', 2)
    assert whole.returncode == 0, whole.stderr
    assert (root / 'cache').is_dir()
    (root / 'depth/train_00001.npy').write_bytes(b'\x93NUMPY')
    broken = prepare('nyud', root, '--check')
    assert broken.returncode == 1
    assert (
        f'unreadable: NYUDv2: the label depth of sample train_00001 cannot be read from {root}/depth' in broken.stdout
    )
    assert ['depth', '3', '2', '0', '1', '0', '0', '0'] in [line.split() for line in broken.stdout.splitlines()]
    nowhere = prepare('pascal', tmp_path / 'nowhere')
    assert nowhere.returncode == 2
    assert 'make_mini_scenes.py pascal' in nowhere.stderr
    assert 'Traceback' not in nowhere.stderr


CONFIG = """
default_scope = 'mtl'
tasks = dict(depth=dict(type='Depth'), mask=dict(type='Saliency'))
files = dict(image='images/{id}.png', depth=dict(path='depth/{id}.png', scale=0.001), mask='mask/{id}.png')
own = dict(type='FolderDataset', data_root='own', files=files, tasks=tasks, split='*', pipeline=[])
train_dataloader = dict(batch_size=1, dataset=dict(type='ConcatDataset', datasets=[own, own]))
val_dataloader = dict(batch_size=1, dataset=dict(**own, test_mode=True))
"""


def test_all_data_sets_of_a_config(run_tool, tmp_path, monkeypatch):
    """Each once; what is missing is counted, what is broken is named and counted, a kind at most ten times."""
    monkeypatch.chdir(tmp_path)
    Path('own.py').write_text(CONFIG)
    for folder in ('images', 'depth', 'mask'):
        Path('own', folder).mkdir(parents=True)
    for index in range(14):
        cv2.imwrite(f'own/images/{index:02}.png', np.full((6, 8, 3), 90, np.uint8))
        if index < 10:
            cv2.imwrite(f'own/depth/{index:02}.png', np.full((6, 8), 1500, np.uint16))
        cv2.imwrite(f'own/mask/{index:02}.png', np.eye(6, 8, dtype=np.uint8) * 255)
    status, output, error = run_tool('prepare_data', 'own.py')
    assert status == 0, error + output
    assert output.count('FolderDataset in own, *') == 1
    rows = [line.split() for line in output.splitlines()]
    assert ['depth', '14', '10', '4', '0', '0', '0', '0'] in rows
    assert ['mask', '14', '14', '0', '0', '0', '0', '0'] in rows

    for index in range(12):
        Path(f'own/mask/{index:02}.png').write_bytes(b'broken')
    status, output, _ = run_tool('prepare_data', 'own.py', '--jobs', '2')
    assert status == 1
    assert ['mask', '14', '2', '0', '12', '0', '0', '0'] in [line.split() for line in output.splitlines()]
    assert output.count('unreadable: ') == 11
    assert 'unreadable: 2 more of mask' in output


def test_wrong_arguments(run_tool, tmp_path):
    for arguments, words in (
        (('nyud',), 'nyud needs its folder'),
        (('nowhere.py',), 'There is no config nowhere.py'),
        (('cityscapes', tmp_path), 'Expected pascal, nyud, ccp, or a config alone'),
    ):
        status, _, error = run_tool('prepare_data', *arguments)
        assert status == 2
        assert words in error
