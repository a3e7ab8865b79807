"""One run a work directory."""

import signal
import subprocess
import sys

import pytest

from mtl.cli.shared.launch import claim
from mtl.cli.shared.running import UsageError

HOLD = """
import sys, time
from mtl.cli.shared.launch import claim
claim(sys.argv[1])
print("has it", flush=True)
time.sleep(60)
"""


def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path, monkeypatch):
    process = subprocess.Popen([sys.executable, '-c', HOLD, tmp_path / 'run'], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == 'has it\n'
        words = rf'run belongs to a run that is going on: process {process.pid} on .*--work-dir'
        with pytest.raises(UsageError, match=words):
            claim(tmp_path / 'run')
        monkeypatch.setenv('RANK', '1')  # the others of its own processes are no other run
        claim(tmp_path / 'run')
        monkeypatch.setenv('RANK', '0')
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    claim(tmp_path / 'run')
    claim(tmp_path / 'run')  # the owner itself
