"""What is logged for tasks that have labels only sometimes."""

from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from mtl.engine import MultiTaskLogProcessor


@pytest.fixture
def runner(request):
    hub = MessageHub.get_instance(f'log {request.node.name}')
    loop = SimpleNamespace(dataloader=range(100))
    return SimpleNamespace(
        message_hub=hub, train_loop=loop, val_loop=loop, iter=0, epoch=0, max_epochs=1, _train_loop={}
    )


def line_after(runner, *iterations):
    for losses in iterations:
        for name, value in losses.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
    return MultiTaskLogProcessor(window_size=2).get_log_after_iter(runner, 0, 'train')


def test_a_task_loss_is_the_mean_since_the_last_line(runner):
    tag, _ = line_after(runner, *({'loss': value, 'loss/semseg': value} for value in (1.0, 2.0, 6.0)))
    assert tag['loss/semseg'] == 3.0  # of all three, not of the window's two
    tag, _ = line_after(runner, {'loss/semseg': 10.0})
    assert tag['loss/semseg'] == 10.0  # the lines before do not enter


def test_a_task_without_labels_is_absent(runner):
    tag, line = line_after(runner, {'loss/semseg': 1.0, 'loss/normals': 5.0})
    assert tag['loss/normals'] == 5.0
    tag, line = line_after(runner, {'loss/semseg': 1.0})
    assert 'loss/normals' not in tag
    assert 'normals' not in line
    tag, _ = line_after(runner, {'loss/semseg': 1.0}, {'loss/normals': 7.0})
    assert tag['loss/normals'] == 7.0


def test_memory_and_rate_are_logged(runner):
    tag, line = line_after(runner, {'loss': 1.0, 'lr': 0.1})
    assert tag['memory'] > 10
    assert tag['lr'] == 0.1
    assert 'lr: 1.00e-01' in line


def test_lines_fit_a_terminal(runner):
    """However many tasks there are; the date and the level that come before take 36 characters."""
    runner.message_hub.update_info('eta', 100_000)
    losses = {f'loss/task_with_a_long_name_{i}': 1234.5 for i in range(20)}
    tag, line = line_after(runner, {'loss': 123.45678, 'lr': 1.234e-5, 'time': 1.23, 'data_time': 0.1, **losses})
    assert set(losses) <= set(tag)
    assert len(line) + 36 < 120
    assert line == 'Epoch(train)[1][  1/100]  lr: 1.23e-05  eta: 27:46:40  time: 1.230  loss: 123.4568'
    for name in losses:
        runner.message_hub.update_scalar(f'val/{name}', 5.0)
    _, line = MultiTaskLogProcessor().get_log_after_epoch(runner, 100, 'val')
    assert len(line) + 36 < 120


def test_results_are_not_averaged_over_evaluations(runner):
    for value in (4.0, 2.0):
        runner.message_hub.update_scalar('val/edge/loss', value)
    tag, _ = MultiTaskLogProcessor().get_log_after_epoch(runner, 100, 'val')
    assert tag['metric/edge/loss'] == 2.0


def test_results_are_grouped_under_metric(runner):
    runner.message_hub.update_scalar('val/semseg/mIoU', 40.0)
    runner.message_hub.update_scalar('val/time', 0.1)
    tag, _ = MultiTaskLogProcessor().get_log_after_epoch(runner, 100, 'val')
    assert tag['metric/semseg/mIoU'] == 40.0
    assert tag['time'] == 0.1
