"""The table of runs, from folders as runs leave them."""

import json

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mtl.cli.shared.runs import read_run
from mtl.models.accounting import count_macs, count_parameters


@pytest.fixture
def work_dir(trained_run, tmp_path):
    path, _, model = trained_run()
    data = tmp_path / 'run_a' / '20260101_000000' / 'vis_data'
    data.mkdir(parents=True)
    Config.fromfile(path).dump(data / 'config.py')
    lines = [
        {'loss': 3.0, 'time': 9.0, 'step': 1},
        {'loss': 2.0, 'time': 0.5, 'step': 2},
        {'metric/semseg/mIoU': 10.0, 'metric/normals/mErr': 40.0, 'step': 1},
        {'loss': 1.0, 'time': 0.25, 'step': 3},
        {
            'metric/semseg/mIoU': 20.0,
            'metric/semseg/mAcc': 5.0,
            'metric/normals/mErr': 30.0,
            'metric/delta_m': -1.5,
            'step': 2,
        },
    ]
    (data / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    return tmp_path / 'run_a', model


def test_a_run_is_read(work_dir):
    folder, model = work_dir
    run = read_run(folder)
    assert run.name == 'run_a'
    assert run.metrics == {'semseg/mIoU': 20.0, 'normals/mErr': 30.0, 'delta_m': -1.5}
    assert run.seconds == 0.5
    assert run.parameters == count_parameters(model)
    assert run.macs == count_macs(model, 56, 56)


def test_the_table(work_dir, run_tool, tmp_path):
    folder, _ = work_dir
    status, output, _ = run_tool('analysis/compare_runs', folder)
    assert status == 0
    for word in ('semseg/mIoU', '20.00', 'delta_m', '-1.50', 'GMACs', '0.50'):
        assert word in output
    status, _, error = run_tool('analysis/compare_runs', tmp_path / 'nowhere')
    assert status == 2
    assert 'not the work dir of a run' in error


class TwoLayers(nn.Module):
    """A 1x1 convolution and an in-place product, with known numbers of multiplications."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def logits(self, image):
        rows = self.conv(image).flatten(2).mT[0]
        rows.addmm_(rows.clone(), torch.eye(5))
        query = rows[None, None]
        return nn.functional.scaled_dot_product_attention(query, query, query)


def test_multiplications():
    pixels = 8 * 8
    assert count_macs(TwoLayers(), 8, 8) == pixels * 3 * 5 + pixels * 5 * 5 + 2 * pixels * pixels * 5
