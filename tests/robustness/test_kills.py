"""The script that kills runs, shortened; in full: ``python tests/robustness/kills.py --count 100``."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path('/proc/self/stat').exists(), reason='needs /proc'),
]


def test_runs_that_are_killed_end_like_those_that_are_not():
    script = Path(__file__).with_name('kills.py')
    command = [sys.executable, script, '--count', '5', '--seed', '1', '--kinds', 'train', 'scenes', 'boundaries']
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert 'ended as if nobody had killed it' in done.stdout
