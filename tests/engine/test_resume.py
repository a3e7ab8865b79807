"""A run that is killed and resumed ends like one that was not."""

import pytest
import torch

from mtl.checkpoints import load_weights_only

pytestmark = pytest.mark.slow

KILL = """
import os
import signal
from mmengine.hooks import Hook
from mtl.registry import HOOKS


@HOOKS.register_module(force=True)
class KillHook(Hook):
    def __init__(self, moment):
        self.moment = moment

    def after_train_iter(self, runner, **kwargs):
        if self.moment == 'in mid-epoch' and runner.iter == 5:  # the second of four in the second epoch
            os.kill(os.getpid(), signal.SIGKILL)

    def after_train_epoch(self, runner):
        if self.moment == 'while saving' and runner.epoch == 1:
            os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, write_config, run_tool):
    folder = tmp_path_factory.mktemp('uninterrupted')
    result = run_tool('train.py', write_config(folder / 'tiny.py'), '--work-dir', folder / 'run')
    assert result.returncode == 0, result.stderr[-3000:]
    return folder / 'run'


@pytest.mark.parametrize('moment', ['in mid-epoch', 'while saving'])
def test_killed_and_resumed(moment, uninterrupted, tmp_path, monkeypatch, write_config, run_tool, scalars):
    (tmp_path / 'kill_hook.py').write_text(KILL)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    killer = f"""
    custom_imports = dict(imports=['kill_hook'])
    custom_hooks = [dict(type='KillHook', moment='{moment}')]
    """
    work_dir = tmp_path / 'run'
    killed = run_tool('train.py', write_config(tmp_path / 'killed.py', killer), '--work-dir', work_dir)
    assert killed.returncode == -9, killed.stderr[-3000:]
    assert (work_dir / 'epoch_1.pth').is_file()
    assert not (work_dir / 'epoch_2.pth').exists()

    resumed = run_tool('train.py', write_config(tmp_path / 'tiny.py'), '--work-dir', work_dir, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    rows = scalars(work_dir)
    assert rows[0]['iter'] == 5  # the second epoch from its start
    assert rows == scalars(uninterrupted)[-len(rows) :]
    expected = load_weights_only(uninterrupted / 'epoch_3.pth')['state_dict']
    found = load_weights_only(work_dir / 'epoch_3.pth')['state_dict']
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_what_a_run_leaves(uninterrupted):
    """The last two checkpoints, TensorBoard events with the promised groups, a panel an evaluation."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert sorted(path.name for path in uninterrupted.glob('*.pth')) == ['epoch_2.pth', 'epoch_3.pth']
    assert (uninterrupted / 'last_checkpoint').read_text() == str(uninterrupted / 'epoch_3.pth')
    assert len(list(uninterrupted.glob('panels/epoch_*/*.png'))) == 3
    events = EventAccumulator(str(next(uninterrupted.glob('*/vis_data'))), size_guidance={'images': 0})
    events.Reload()
    tags = events.Tags()
    names = ('semseg', 'human_parts', 'saliency', 'normals', 'edge')
    others = {'loss/total', 'optimizer/lr', 'speed/memory_mb', 'speed/seconds_per_iteration'}
    assert {f'loss/{name}' for name in names} | others <= set(tags['scalars'])
    assert {'metric/semseg/mIoU', 'metric/normals/mErr'} <= set(tags['scalars'])
    assert len(tags['images']) == 1
    assert tags['images'][0].startswith('panel/')
    assert len(events.Images(tags['images'][0])) == 3
