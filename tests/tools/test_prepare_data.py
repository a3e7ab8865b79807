"""The command: a table, the broken files by name, and a status."""

import subprocess
import sys
from pathlib import Path

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
