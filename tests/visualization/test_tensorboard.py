"""What TensorBoard is told, read back from its event file."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtl.visualization import MultiTaskTensorboardBackend


@pytest.fixture
def written(tmp_path):
    """``written((scalars, step), ...)`` gives ``{name: [(step, value), ...]}``."""

    def write(*calls):
        backend = MultiTaskTensorboardBackend(str(tmp_path))
        for scalars, step in calls:
            backend.add_scalars(scalars, step=step)
        backend.close()
        events = EventAccumulator(str(tmp_path)).Reload()
        return {name: [(e.step, round(e.value, 6)) for e in events.Scalars(name)] for name in events.Tags()['scalars']}

    return write


def test_sections(written):
    training = {
        'lr': 0.001,
        'grad_norm': 2.0,
        'loss': 3.0,
        'loss/edge': 1.0,
        'time': 0.5,
        'data_time': 0.1,
        'memory': 900,
        'epoch': 1,
        'iter': 10,
        'width/small/loss': 4.0,
    }
    validation = {'metric/edge/odsF': 50.0, 'time': 7.0, 'data_time': 2.0}
    assert written((training, 10), (validation, 1)) == {
        'optimizer/lr': [(10, 0.001)],
        'optimizer/grad_norm': [(10, 2.0)],
        'loss/total': [(10, 3.0)],
        'loss/edge': [(10, 1.0)],
        'speed/seconds_per_iteration': [(10, 0.5)],
        'speed/seconds_waiting_for_data': [(10, 0.1)],
        'speed/memory_mb': [(10, 900.0)],
        'width/small/loss': [(10, 4.0)],
        'metric/edge/odsF': [(1, 50.0)],
    }


def test_gates_are_a_curve_a_task(written):
    gates = {
        'gates/edge/level_1/expert_1': 0.5,
        'gates/edge/level_1/entropy': 0.5,
        'gates/load/level_4/memory': 0.1,
        'gates/edge/entropy': 0.25,
        'gates/edge/memory': 0.125,
    }
    assert written((gates, 50)) == {'routing/edge/entropy': [(50, 0.25)], 'routing/edge/memory': [(50, 0.125)]}
