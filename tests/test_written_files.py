"""Files are whole or not there, and a failure is said."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mtl.evaluation.prediction_files import write_predictions
from mtl.structures import MultiTaskDataSample
from mtl.tasks import build_tasks
from mtl.writing import write_array, write_atomically, write_picture, write_text

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def full_disk():
    """No file may have more than 4 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path, full_disk):
    path = tmp_path / 'a.bin'
    write_atomically(path, b'old')
    with pytest.raises(OSError, match=r'writing 0\.0 MiB.*a\.bin'):
        write_atomically(path, bytes(10_000))
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.bin']
    for write in (
        lambda: write_picture(tmp_path / 'a.png', np.random.default_rng(0).integers(0, 256, (90, 90), dtype=np.uint8)),
        lambda: write_array(tmp_path / 'a.npy', np.zeros(3000)),
        lambda: write_text(tmp_path / 'a.json', 'x' * 9000),
    ):
        with pytest.raises(OSError, match='a'):
            write()
    assert os.listdir(tmp_path) == ['a.bin']


def test_predictions_on_a_full_disk(tmp_path, full_disk):
    import torch

    tasks = build_tasks(dict(semseg=dict(type='SemanticSegmentation', classes='pascal_voc')))
    noise = torch.randint(0, 21, (90, 90), dtype=torch.uint8)
    sample = MultiTaskDataSample(metainfo=dict(sample_id='a'), pred_semseg=noise)
    with pytest.raises(OSError, match=r'semseg/a\.png'):
        write_predictions(sample, tmp_path, tasks)


def test_what_cannot_be_a_picture(tmp_path):
    with pytest.raises(ValueError, match=r'a\.png cannot be written as a picture'):
        write_picture(tmp_path / 'a.png', np.zeros((0, 4), np.uint8))
    with pytest.raises(ValueError, match=r'a\.unknown cannot be written as a picture'):
        write_picture(tmp_path / 'a.unknown', np.zeros((4, 4), np.uint8))


def test_leftovers_of_processes_that_were_killed_go(tmp_path):
    gone = subprocess.Popen(['true'])
    gone.wait()
    (tmp_path / f'.a.{gone.pid}.tmp').write_text('part')
    (tmp_path / f'.a.{os.getppid()}.tmp').write_text('of somebody who is at work')
    (tmp_path / '.other.1.tmp').write_text('of another file')
    write_text(tmp_path / 'a', 'whole')
    assert sorted(os.listdir(tmp_path)) == sorted(['a', f'.a.{os.getppid()}.tmp', '.other.1.tmp'])


def children(process):
    """Processes whose parent is, or whose command names, the given one."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((entry / 'stat').read_text().rsplit(')', 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if parent == process:
            found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc')
@pytest.mark.parametrize('tool', ['make_mini_scenes', 'prepare_data'])
def test_workers_end_with_their_parent(tmp_path, tool):
    if tool == 'make_mini_scenes':
        arguments = ['make_mini_scenes.py', 'pascal', tmp_path / 'scenes', '--num-train', '3000', '--num-val', '0']
    else:
        from mtl.mini_scenes import write_pascal

        write_pascal(tmp_path / 'scenes', 1, 1, (64, 64), seed=0)
        ids = '\n'.join(['train_00000'] + [f'missing_{number}' for number in range(200_000)])
        for path in (tmp_path / 'scenes').rglob('train*.txt'):
            path.write_text(ids)
        arguments = ['prepare_data.py', 'pascal', tmp_path / 'scenes', '--check']
    command = [sys.executable, ROOT / 'tools' / arguments[0], *arguments[1:], '--jobs', '2']
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    workers = []
    for _ in range(600):
        workers = children(process.pid)
        if len(workers) >= 2:
            break
        assert process.poll() is None
        time.sleep(0.05)
    assert len(workers) >= 2
    time.sleep(0.5)  # they must have begun their work
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(200):
        left = [worker for worker in workers if Path(f'/proc/{worker}').exists()]
        if not left:
            break
        time.sleep(0.05)
    assert not left
