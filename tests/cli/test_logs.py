"""Logs as runs write them, also in several starts."""

import json

import pytest

from mtl.cli.shared.logs import read_log


def write(folder, rows):
    (folder / 'vis_data').mkdir(parents=True)
    (folder / 'vis_data/scalars.json').write_text(''.join(json.dumps(row) + '\n' for row in rows))


@pytest.fixture
def work_dir(tmp_path):
    """A run that was interrupted after iteration 20 and resumed from iteration 10."""
    root = tmp_path / 'run_a'
    first = [
        {'loss': 3.0, 'loss/semseg': 2.0, 'time': 0.5, 'epoch': 1, 'iter': 10, 'step': 10},
        {'loss': 9.0, 'time': 9.0, 'epoch': 1, 'iter': 20, 'step': 20},
        {'metric/semseg/mIoU': 5.0, 'time': 30.0, 'step': 1},
    ]
    second = [
        {'loss': 2.0, 'loss/semseg': 1.0, 'time': 0.25, 'epoch': 2, 'iter': 20, 'step': 20},
        {'metric/semseg/mIoU': 15.0, 'metric/edge/odsF': None, 'time': 30.0, 'step': 2},
    ]
    write(root / '20260101_000000', first)
    write(root / '20260102_000000', second)
    return root


def test_metrics_at_widths_keep_their_names(tmp_path):
    row = {'metric/semseg/mIoU': 5.0, 'width/small/semseg/mIoU': 4.0, 'time': 30.0, 'step': 1}
    write(tmp_path / 'run' / '20260101_000000', [row])
    log = read_log(tmp_path / 'run')
    assert log.matching(['width/*']) == ['width/small/semseg/mIoU']
    assert set(log.evaluations) == {'metric/semseg/mIoU', 'width/small/semseg/mIoU', 'evaluation/time'}


def test_starts_are_joined_and_the_later_counts(work_dir):
    log = read_log(work_dir)
    assert log.name == 'run_a'
    assert log.training == {
        'loss': {10: 3.0, 20: 2.0},
        'loss/semseg': {10: 2.0, 20: 1.0},
        'time': {10: 0.5, 20: 0.25},
    }
    assert log.evaluations['metric/semseg/mIoU'] == {1: 5.0, 2: 15.0}
    assert 'metric/edge/odsF' not in log.evaluations
    assert log.values('loss/semseg') == {10: 2.0, 20: 1.0}
    assert log.values('loss/depth') == {}
    assert log.matching(['loss/*', 'metric/*/mIoU']) == ['loss/semseg', 'metric/semseg/mIoU']


def test_one_start_or_one_file(work_dir):
    last = work_dir / '20260102_000000'
    assert read_log(last).training['loss'] == {20: 2.0}
    log = read_log(last / 'vis_data/scalars.json')
    assert log.training['loss'] == {20: 2.0}
    assert log.name == 'run_a'


def test_what_is_no_log(tmp_path, work_dir):
    with pytest.raises(FileNotFoundError, match='not the log of a run'):
        read_log(tmp_path)
    file = work_dir / '20260102_000000/vis_data/scalars.json'
    file.write_text('{"loss": 1, "step": 1}\nkilled in the mid')
    with pytest.raises(ValueError, match='line 2'):
        read_log(work_dir)
