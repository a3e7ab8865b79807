"""What a checkpoint holds against what the config asks for."""

import copy

import pytest
import torch
from mmengine.hooks import EMAHook as MMEnginesEMAHook

from mtl.checkpoints import load_weights_only
from mtl.engine.hooks import EMAHook
from mtl.registry import MODELS

EPOCHS = 'train_cfg.max_epochs={0} param_scheduler.1.end={0} param_scheduler.1.T_max={1}'


@pytest.mark.slow
def test_a_longer_schedule_is_followed(tmp_path, write_config, run_tool, scalars):
    """The rates from there on are those of a run that was as long from the start."""
    config = write_config(tmp_path / 'tiny.py', 'train_cfg = dict(max_epochs=2, val_interval=9)\n')
    long, short = EPOCHS.format(4, 3).split(), EPOCHS.format(2, 1).split()
    for folder, options in (('long', long), ('short', short)):
        done = run_tool('train.py', config, '--work-dir', tmp_path / folder, '--cfg-options', *options)
        assert done.returncode == 0, done.stderr[-3000:]
    done = run_tool('train.py', config, '--work-dir', tmp_path / 'short', '--resume', '--cfg-options', *long)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'param_scheduler.1.T_max 1 -> 3' in done.stdout + done.stderr
    rates = {row['iter']: row['lr'] for row in scalars(tmp_path / 'long') if 'lr' in row}
    resumed = {row['iter']: row['lr'] for row in scalars(tmp_path / 'short') if 'lr' in row}
    assert list(resumed) == list(range(9, 17))  # four iterations an epoch
    assert resumed == pytest.approx({step: rates[step] for step in resumed}, rel=1e-6)

    done = run_tool('train.py', config, '--work-dir', tmp_path / 'long', '--resume', '--cfg-options', *long)
    assert ' -> ' not in done.stdout + done.stderr  # nothing has changed

    options = [*long, 'optim_wrapper.optimizer.lr=0.004', 'train_cfg.max_epochs=5']  # twice the rate
    done = run_tool('train.py', config, '--work-dir', tmp_path / 'short', '--resume', '--cfg-options', *options)
    assert 'optim_wrapper.optimizer.lr 0.002 -> 0.004' in done.stdout + done.stderr
    last = load_weights_only(tmp_path / 'short/epoch_5.pth')['optimizer']['param_groups'][0]['lr']
    before = load_weights_only(tmp_path / 'long/epoch_4.pth')['optimizer']['param_groups'][0]['lr']
    assert last == pytest.approx(2 * before, rel=1e-3)  # after the last epoch of the cosine it stays


@pytest.mark.slow
def test_averaged_weights_are_evaluated_with_their_own_config(tmp_path, write_config, run_tool, scalars):
    more = "custom_hooks = [dict(type='EMAHook', momentum=0.3)]\ntrain_cfg = dict(max_epochs=2)\n"
    config = write_config(tmp_path / 'ema.py', more)
    done = run_tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert done.returncode == 0, done.stderr[-3000:]
    expected = scalars(tmp_path / 'run')[-1]
    done = run_tool('test.py', config, tmp_path / 'run/epoch_2.pth', '--work-dir', tmp_path / 'test')
    assert done.returncode == 0, done.stderr[-3000:]
    found = scalars(tmp_path / 'test') if list((tmp_path / 'test').glob('*/vis_data/scalars.json')) else None
    if found is None:
        import json

        path = next((tmp_path / 'test').glob('*/*.json'))
        found = [json.loads(path.read_text())]
    metrics = {key.removeprefix('metric/'): value for key, value in expected.items() if '/' in key}
    for key, value in found[-1].items():
        key = key.removeprefix('metric/')
        if key in metrics:
            assert value == metrics[key], key
    assert any(key.removeprefix('metric/') in metrics for key in found[-1])


@pytest.mark.slow
def test_weights_of_another_network(tmp_path, write_config, run_tool):
    config = write_config(tmp_path / 'tiny.py', 'train_cfg = dict(max_epochs=1)\n')
    torch.save(dict(state_dict={'layer.weight': torch.ones(3)}), tmp_path / 'other.pth')
    done = run_tool(
        'train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options', f'load_from={tmp_path}/other.pth'
    )
    assert done.returncode == 2
    assert 'holds layer.weight' in done.stderr
    assert 'another network' in done.stderr

    done = run_tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert done.returncode == 0, done.stderr[-3000:]
    part = load_weights_only(tmp_path / 'run/epoch_1.pth')
    part = {name: value for name, value in part['state_dict'].items() if name.startswith('backbone.')}
    torch.save(dict(state_dict=part), tmp_path / 'part.pth')
    done = run_tool(
        'train.py', config, '--work-dir', tmp_path / 'new', '--cfg-options', f'load_from={tmp_path}/part.pth'
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f'gives {len(part)} of the' in done.stdout + done.stderr


class Runner:
    iter, epoch = 0, 0

    def __init__(self, model):
        self.model = model


def test_an_average_moves_its_units_with_the_network(micro_slimmable):
    """Averaged before and after the units moved: each unit with itself, as if none had moved."""

    def averaged(moves):
        model = micro_slimmable()
        hook = EMAHook(momentum=0.25)
        hook.before_run(Runner(model))
        for step in range(3):
            if moves and step == 1:
                order = model.unit_order.clone()
                split = [group.size for group in model.width_table().importance]
                turned = torch.cat([part.flip(0) for part in order.split(split)])
                model.move_units({'unit_order': turned})
            torch.manual_seed(step)
            shift = torch.randn(())
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.mul_(1 + 0.1 * shift)
            hook.after_train_iter(Runner(model), step)
        return hook.ema_model.module.eval()

    image = torch.randn(1, 3, 56, 56)
    still, moved = averaged(False), averaged(True)
    assert not torch.equal(still.unit_order, moved.unit_order)
    for name, logits in still(image).items():
        torch.testing.assert_close(moved(image)[name], logits, rtol=1e-4, atol=1e-5)


@pytest.fixture
def micro_slimmable():
    from tests.models.conftest import MICRO, TASKS

    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone={**MICRO, 'adapters': dict(rank=3, task_rank=2)},
            decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
            slimming=dict(encoder=0.25, decoder=(0.5, 1.0), multiple=2),
        )
    )
    return lambda: copy.deepcopy(model)


def test_it_is_mmengines_otherwise():
    assert issubclass(EMAHook, MMEnginesEMAHook)
