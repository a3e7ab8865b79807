"""The benchmark of data loading runs, in small; what it measures is not tested."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / 'benchmarks/data_loading.py'


@pytest.mark.parametrize('name', ['pascal_edge', 'nyud'])
def test_every_order_is_measured(name, tmp_path):
    out = tmp_path / 'out.json'
    size = ['--samples', '2', '--size', '40', '56', '--batch', '2', '--rounds', '1']
    words = [sys.executable, str(BENCHMARK), '--data', name, *size, '--out', str(out)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert 'MiniScenes in the layout of' in done.stdout
    (result,) = json.loads(out.read_text())['data']
    assert result['samples'] == 2
    assert set(result['milliseconds']) == {'published', 'files', 'cache'}
    assert all(0 < least <= median <= most for median, least, most in result['milliseconds'].values())
    assert set(result['ratios']) == {'files', 'cache'}
