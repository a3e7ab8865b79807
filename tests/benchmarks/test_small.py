"""The benchmark of small widths runs, in small; what it measures is not tested."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_time_stands_beside_multiplications(tmp_path):
    out = tmp_path / 'out.json'
    words = [sys.executable, str(ROOT / 'benchmarks/small.py'), '--sizes', '64', '--rounds', '1', '--threads', '1']
    words += ['--share', '0.6', '--out', str(out)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(out.read_text())['sizes']
    rows = result['networks']
    assert set(rows) == {'full', 'small', 'share'}
    assert rows['full']['mac_ratio'] == rows['full']['time_ratio'] == 1
    assert rows['small']['mac_ratio'] <= rows['share']['mac_ratio'] <= 0.6
    assert all(row['operators'] > row['allocations'] > 0 for row in rows.values())
