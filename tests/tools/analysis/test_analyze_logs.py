"""Tables and curves of logs."""

import json

import cv2
import pytest

from mtl.cli.analyze_logs import read_group


@pytest.fixture
def runs(tmp_path):
    for name, losses in (('run_a', (4.0, 2.0, 3.0)), ('run_b', (5.0, 1.0, 1.0))):
        folder = tmp_path / name / '20260101_000000/vis_data'
        folder.mkdir(parents=True)
        rows = [
            {'loss': loss, 'loss/edge': loss / 2, 'time': 0.5 * (1 + i), 'data_time': 0.1, 'step': 10 * (1 + i)}
            for i, loss in enumerate(losses)
        ]
        rows += [{'metric/edge/odsF': 40.0, 'time': 99.0, 'step': 1}, {'metric/edge/odsF': 30.0, 'step': 2}]
        (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, rows)))
    return tmp_path / 'run_a', tmp_path / 'run_b'


def row(output, key):
    line = next(line for line in output.splitlines() if line.startswith(f'│ {key} '))
    return [cell.strip() for cell in line.split('│')[2:-1]]


def test_the_table(run_tool, runs):
    status, output, error = run_tool('analysis/analyze_logs', runs[0])
    assert status == 0, error
    assert row(output, 'loss') == ['3', '4', '3', '2 (20)', '4 (10)']
    assert row(output, 'metric/edge/odsF') == ['2', '40', '30', '30 (2)', '40 (1)']
    assert 'run_a: 1.000 s an iteration (median of 3 lines; p90 1.400 s), of which 0.100 s wait for data' in output
    assert '30 iterations' in output


def test_curves_of_two_runs(run_tool, runs, tmp_path):
    picture = tmp_path / 'plots/curves.png'
    options = ('--keys', 'loss*', 'metric/*', '--smooth', '2', '--plot', picture)
    status, output, error = run_tool('analysis/analyze_logs', *runs, *options)
    assert status == 0, error
    assert output.count('│ loss/edge ') == 2
    assert cv2.imread(str(picture)).std() > 5


def test_runs_of_several_seeds_are_one_curve(run_tool, runs, tmp_path):
    """At the steps that all have, and smoothed one by one."""
    group = read_group(f'both={tmp_path}/run_*')
    assert group.name == 'both'
    assert len(group.logs) == 2
    steps, curves = group.curves('loss', 1)
    assert steps == [10, 20, 30]
    assert curves.tolist() == [[4.0, 2.0, 3.0], [5.0, 1.0, 1.0]]
    steps, curves = group.curves('loss', 2)
    assert steps == [20, 30]
    assert curves.tolist() == [[3.0, 2.5], [3.0, 1.0]]
    assert group.curves('metric/edge/odsF', 2)[0] == [1, 2], 'evaluations are not smoothed'
    assert group.curves('loss/depth', 1)[0] == []
    picture = tmp_path / 'curves.png'
    status, output, error = run_tool('analysis/analyze_logs', f'both={tmp_path}/run_*', '--plot', picture)
    assert status == 0, error
    assert output.count('│ loss/edge ') == 2
    assert cv2.imread(str(picture)).std() > 5


def test_wrong_inputs_are_sentences(run_tool, runs, tmp_path):
    for arguments, words in (
        ((tmp_path / 'nowhere',), 'not the log of a run'),
        ((f'both={tmp_path}/seed_*',), 'no folder matches'),
        ((runs[0], '--keys', 'loss/depth'), 'There is: loss, loss/edge'),
        ((runs[0], '--smooth', '0'), 'at least 1'),
        ((runs[0], '--plot', tmp_path / 'curves.xyz'), 'cannot be written'),
    ):
        status, _, error = run_tool('analysis/analyze_logs', *arguments)
        assert status == 2
        assert words in error
