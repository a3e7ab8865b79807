"""Two processes on CPUs: the gradients of one with twice the batch, and whole runs, whatever labels are missing."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
import two_processes

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def both(tmp_path_factory):
    """The gradients that each of two processes found."""
    folder = tmp_path_factory.mktemp('processes')
    torch.multiprocessing.spawn(two_processes.process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'rank_{rank}.pth') for rank in (0, 1)]


@pytest.mark.parametrize('case', two_processes.CASES)
def test_gradients_are_those_of_one_process_with_twice_the_batch(both, case):
    expected, expected_log = two_processes.gradients(case)
    for found, log in (results[case] for results in both):
        assert log == pytest.approx(expected_log, rel=1e-4, abs=1e-6)  # those of the whole batch
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f'{n}: {m}')
    assert any(value.abs().max() > 1e-3 for value in expected.values())


CONCATENATED = """
pascal = dict(
    type='MiniScenes', **scenes, split='train', pipeline=train_pipeline,
    tasks=dict(semseg=_base_.tasks.semseg, normals=_base_.tasks.normals),
)
photographs = dict(
    type='ClothingCoParsing', data_root=CCP, split='train', pipeline=[
        dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='Resize', size=(64, 64)), dict(type='Pack'),
    ],
    tasks=dict(saliency=_base_.tasks.saliency, edge=_base_.tasks.edge),
)
train_dataloader.update(
    dataset=dict(_delete_=True, type='ConcatDataset', datasets=[pascal, photographs]), sampler=dict(shuffle=False)
)
train_cfg.update(max_epochs=1)
"""


@pytest.mark.parametrize('processes', [1, 2])
def test_data_sets_of_different_tasks_train_together(processes, tmp_path, photographs, write_config, run_tool, scalars):
    """Scenes with two labels, photographs with two others; human_parts has labels nowhere."""
    config = write_config(tmp_path / 'both.py', f"CCP = '{photographs}'\n" + CONCATENATED)
    if processes == 1:
        result = run_tool('train.py', config, '--work-dir', tmp_path / 'run')
    else:
        result = run_tool('dist_train.sh', config, processes, '--work-dir', tmp_path / 'run')
    assert result.returncode == 0, result.stderr[-3000:]
    rows = [row for row in scalars(tmp_path / 'run') if 'loss' in row]
    assert len(rows) == 12 // 2 // processes
    logged = set().union(*rows)
    assert {'loss/semseg', 'loss/normals', 'loss/saliency', 'loss/edge'} <= logged
    assert 'loss/human_parts' not in logged
    if processes == 1:  # unshuffled: scenes first, photographs after them
        assert 'loss/saliency' not in rows[0]
        assert 'loss/semseg' not in rows[-1]
    values = [value for row in rows for value in row.values()]
    assert torch.tensor(values).isfinite().all()
    state = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)['state_dict']
    assert all(value.isfinite().all() for value in state.values())
