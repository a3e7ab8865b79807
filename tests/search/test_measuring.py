import pytest
import torch
from torch import nn

from mtl.models.slimmable import WidthSpace
from mtl.search import measuring
from mtl.search.measuring import median_milliseconds, widths_to_measure


class Sleeper(nn.Module):
    """A network that says how long it takes, on a machine of changing mood."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def predict(self, image):
        return self.seconds


@pytest.fixture
def moody_machine(monkeypatch):
    """Times are multiplied by ``mood()``."""

    def use(mood):
        def measure(step, runs, warm_up, device):
            return type('Measurement', (), {'seconds': (step() * mood(),)})

        monkeypatch.setattr(measuring, 'measure', measure)

    return use


def test_a_machine_that_gets_busy_changes_nothing(moody_machine):
    runs = iter(range(10**6))
    moody_machine(lambda: 1.0 if next(runs) < 5 * 4 else 3.0)  # from the second group on
    networks = (Sleeper(seconds) for seconds in range(1, 12))
    found = list(median_milliseconds(networks, torch.zeros(1), repeats=4, together=3))
    assert found == pytest.approx([1000.0 * seconds for seconds in range(1, 12)])


def test_a_slow_run_now_and_then_changes_nothing(moody_machine):
    runs = iter(range(10**6))
    moody_machine(lambda: 50.0 if next(runs) % 5 == 0 else 1.0)
    found = list(median_milliseconds((Sleeper(s) for s in (1, 2, 3)), torch.zeros(1), repeats=7))
    assert found == pytest.approx([1000.0, 2000.0, 3000.0])


def test_widths_to_measure():
    space = WidthSpace(2, ('semseg', 'normals', 'edge'), encoder=0.2, decoder=(0.5, 1.0))
    widths = widths_to_measure(space, ('semseg', 'normals'), 30, seed=0)
    assert len(set(widths)) == len(widths) == 30
    assert widths[:2] == [space.full.for_tasks(('semseg', 'normals')), space.small.for_tasks(('semseg', 'normals'))]
    assert all(tuple(width.decoder) == ('semseg', 'normals') and space.check(width) for width in widths)
    assert widths == widths_to_measure(space, ('semseg', 'normals'), 30, seed=0)
    assert widths != widths_to_measure(space, ('semseg', 'normals'), 30, seed=1)
    few = WidthSpace(1, ('semseg',), encoder=(0.5, 1.0), decoder=(0.5, 1.0))
    assert len(widths_to_measure(few, ('semseg',), 30, seed=0)) == 4
