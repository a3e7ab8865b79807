"""Checkpoint files: whole or not there, and nothing but data."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import save_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mtl.checkpoints import UntrustedCheckpointError, load_weights_only, newest_readable, set_checkpoint_loading
from mtl.writing import write_atomically


class Payload:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return os.mkdir, (self.trace,)


def test_the_atomic_backend_writes_what_mmengine_reads(tmp_path):
    state = {'weight': torch.arange(3.0), 'meta': {'epoch': 2}}
    save_checkpoint(state, str(tmp_path / 'epoch_2.pth'), backend_args=dict(backend='atomic'))
    loaded = CheckpointLoader.load_checkpoint(str(tmp_path / 'epoch_2.pth'))
    assert torch.equal(loaded['weight'], state['weight'])
    assert [path.name for path in tmp_path.iterdir()] == ['epoch_2.pth']


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'file'
    write_atomically(path, b'old')

    def full_disk(descriptor):
        raise OSError('No space left on device')

    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(OSError, match='No space'):
        write_atomically(path, b'new')
    assert path.read_bytes() == b'old'


def test_a_kill_while_writing_leaves_a_whole_file(tmp_path):
    """Kill a process that keeps rewriting a file: what remains is one of its versions, never a part of one."""
    path = tmp_path / 'file'
    program = (
        'import sys; from mtl.writing import write_atomically\n'
        'number = 0\n'
        'while True:\n'
        '    write_atomically(sys.argv[1], bytes([number % 256]) * 4_000_000); number += 1\n'
    )
    process = subprocess.Popen([sys.executable, '-c', program, str(path)])
    try:
        deadline = time.monotonic() + 60
        while not path.is_file():
            assert time.monotonic() < deadline, 'the writer did not start'
            time.sleep(0.01)
        time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    data = path.read_bytes()
    assert len(data) == 4_000_000
    assert len(set(data)) == 1


def test_what_mmengine_stores_besides_weights_is_plain_enough(tmp_path):
    """Numpy scalars and arrays and the message hub's histories load weights-only."""
    history = HistoryBuffer()
    history.update(0.5)
    state = {'scalar': np.float64(1.5), 'count': np.int64(3), 'array': np.arange(3), 'history': history}
    torch.save(state, tmp_path / 'file.pth')
    loaded = load_weights_only(tmp_path / 'file.pth')
    assert loaded['scalar'] == 1.5
    assert loaded['count'] == 3
    assert loaded['history'].mean() == 0.5


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path):
    trace = tmp_path / 'trace'
    torch.save({'state_dict': {}, 'extra': Payload(trace)}, tmp_path / 'epoch_1.pth')
    with pytest.raises(UntrustedCheckpointError, match='--trust'):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'epoch_1.pth'))
    with pytest.raises(UntrustedCheckpointError):
        newest_readable(tmp_path)
    assert not trace.exists()


def test_trust_reads_anything(tmp_path):
    trace = tmp_path / 'trace'
    torch.save({'extra': Payload(trace)}, tmp_path / 'file.pth')
    set_checkpoint_loading(trust=True)
    try:
        CheckpointLoader.load_checkpoint(str(tmp_path / 'file.pth'))
    finally:
        set_checkpoint_loading()
    assert trace.exists()


def test_newest_readable_skips_a_truncated_file_and_ignores_others(tmp_path):
    assert newest_readable(tmp_path) is None
    for age, name in ((30, 'epoch_9.pth'), (20, 'epoch_1.pth'), (10, 'epoch_2.pth'), (0, 'best_delta_m_epoch_2.pth')):
        torch.save({'name': name, 'weight': torch.zeros(1000)}, tmp_path / name)
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    whole = (tmp_path / 'epoch_2.pth').read_bytes()
    assert newest_readable(tmp_path) == tmp_path / 'epoch_2.pth'  # the newest by age, not by number
    (tmp_path / 'epoch_2.pth').write_bytes(whole[: len(whole) // 2])
    os.utime(tmp_path / 'epoch_2.pth')
    assert newest_readable(tmp_path) == tmp_path / 'epoch_1.pth'


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth'):
        load_weights_only(tmp_path / 'nowhere.pth')
