"""Real runs of a slimmable model: validation at named widths, resuming, testing at a width."""

import json

import pytest
import torch

from mtl.checkpoints import load_weights_only

pytestmark = pytest.mark.slow

SLIMMABLE = """
model.update(
    slimming=dict(encoder=0.5, decoder=(0.5, 1.0), samples=1, multiple=2),
)
model['backbone'].update(num_heads=(2, 4))
train_cfg.update(max_epochs=2)
val_cfg = dict(type='WidthValLoop', widths=dict(small='small', half=dict(
    encoder=[1.0, 1.0], decoder=dict(semseg=0.5, human_parts=0.5, saliency=0.5, normals=0.5, edge=0.5),
)))
"""


@pytest.fixture(scope='module')
def run(tmp_path_factory, write_config, run_tool):
    folder = tmp_path_factory.mktemp('slimmable')
    result = run_tool('train.py', write_config(folder / 'tiny.py', SLIMMABLE), '--work-dir', folder / 'run')
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def test_metrics_and_losses_of_widths(run, scalars):
    rows = scalars(run / 'run')
    training = [row for row in rows if 'loss' in row]
    assert len(training) == 8
    for row in training:
        for name in ('small', 'random'):
            assert row[f'width/{name}/loss'] > 0
            assert row[f'width/{name}/distillation'] > 0
    (first, _) = [row for row in rows if 'metric/semseg/mIoU' in row]
    for name in ('full', 'small', 'half'):
        assert {f'width/{name}/semseg/mIoU', f'width/{name}/normals/mErr'} <= set(first)
    assert first['width/full/normals/mErr'] == first['metric/normals/mErr']
    assert len({first[f'width/{name}/normals/mErr'] for name in ('full', 'small', 'half')}) == 3


def test_resuming_goes_on_as_if_nothing_had_happened(run, tmp_path, write_config, run_tool, scalars):
    work_dir = tmp_path / 'run'
    work_dir.mkdir()
    (work_dir / 'epoch_1.pth').write_bytes((run / 'run' / 'epoch_1.pth').read_bytes())
    resumed = run_tool('train.py', write_config(tmp_path / 'tiny.py', SLIMMABLE), '--work-dir', work_dir, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    rows = scalars(work_dir)
    assert rows == scalars(run / 'run')[-len(rows) :]
    expected = load_weights_only(run / 'run' / 'epoch_2.pth')['state_dict']
    found = load_weights_only(work_dir / 'epoch_2.pth')['state_dict']
    assert int(found['steps']) == 8
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def results(folder):
    """The metrics of a test run."""
    (path,) = folder.glob('*/*.json')
    return json.loads(path.read_text())


def test_testing_at_a_width(run, tmp_path, run_tool, scalars):
    config, checkpoint = run / 'tiny.py', run / 'run' / 'epoch_2.pth'
    last = [row for row in scalars(run / 'run') if 'metric/semseg/mIoU' in row][-1]
    width = dict(
        encoder=[1.0, 1.0], decoder=dict.fromkeys(('semseg', 'human_parts', 'saliency', 'normals', 'edge'), 0.5)
    )
    (tmp_path / 'half.json').write_text(json.dumps(width))
    found = run_tool('test.py', config, checkpoint, '--width', tmp_path / 'half.json', '--work-dir', tmp_path / 'half')
    assert found.returncode == 0, found.stderr[-3000:]
    assert results(tmp_path / 'half')['metric/normals/mErr'] == pytest.approx(last['width/half/normals/mErr'], abs=1e-4)
