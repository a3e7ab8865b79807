"""Two processes draw the same widths and take the step of one with twice the batch."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import sandwich_processes

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp('processes')
    torch.multiprocessing.spawn(sandwich_processes.process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'rank_{rank}.pth', weights_only=False) for rank in (0, 1)]


@pytest.mark.parametrize('decoder', sandwich_processes.DECODERS)
def test_they_take_the_step_of_one(both, decoder):
    expected, expected_widths = sandwich_processes.after_two_steps(sandwich_processes.DECODERS[decoder])
    for parameters, widths in (results[decoder] for results in both):
        assert widths == expected_widths
        assert parameters.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(parameters[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f'{n}: {m}')
