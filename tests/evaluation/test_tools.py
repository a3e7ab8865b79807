"""The command lines of evaluation, on real files."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset

from mtl.evaluation import Baseline, MultiTaskEvaluator
from mtl.evaluation.prediction_files import write_predictions
from mtl.registry import DATASETS
from mtl.structures import MultiTaskDataSample

from .conftest import TASKS, make_sample
from .test_boundary import soft_lines

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis'


def call(monkeypatch, tool: str, *arguments) -> None:
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    runpy.run_path(str(TOOLS / f'{tool}.py'), run_name='__main__')


def refused(words, monkeypatch, capsys, *arguments):
    """Status 2, and a sentence with ``words``."""
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *arguments)
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


@DATASETS.register_module()
class FourSamples(BaseDataset):
    """The samples of these tests, without predictions."""

    def load_data_list(self):
        return [dict(seed=seed) for seed in range(4)]

    def prepare_data(self, idx):
        values = {k: v for k, v in make_sample(idx).items() if not k.startswith('pred_')}
        return dict(data_samples=MultiTaskDataSample(metainfo=dict(sample_id=values.pop('sample_id')), **values))


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        "default_scope = 'mtl'\n"
        f'tasks = {TASKS!r}\n'
        "test_dataloader = dict(dataset=dict(type='FourSamples'))\n"
        "test_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())\n"
    )
    return path


def test_eval_predictions_gives_the_numbers_of_the_run(monkeypatch, capsys, tasks, config, tmp_path):
    online = MultiTaskEvaluator(TASKS, table=False)
    for seed in range(4):
        values = make_sample(seed)
        sample = MultiTaskDataSample(metainfo=dict(sample_id=values.pop('sample_id')), **values)
        online.process([sample])
        write_predictions(sample, tmp_path / 'out', tasks)
    call(monkeypatch, 'eval_predictions', tmp_path / 'out', config, '--out', tmp_path / 'metrics.json')
    assert json.loads((tmp_path / 'metrics.json').read_text()) == online.evaluate(4)

    (tmp_path / 'out' / 'depth' / 'image2.npy').unlink()
    words = "has no .png or .npy for sample 'image2'"
    refused(words, monkeypatch, capsys, 'eval_predictions', tmp_path / 'out', config)
    refused('holds none of the folders', monkeypatch, capsys, 'eval_predictions', tmp_path, config)


def test_make_baseline_from_files_and_work_dirs(monkeypatch, capsys, config, tmp_path):
    (tmp_path / 'semseg.json').write_text(json.dumps({'semseg/mIoU': 61.5}))
    log = tmp_path / 'st_depth' / '20250101_000000' / 'vis_data' / 'scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"loss": 1.0}\n{"depth/rmse": 0.4, "step": 1}\n{"depth/rmse": 0.5, "step": 2}\n')
    results = [f'semseg={tmp_path}/semseg.json', f'depth={tmp_path}/st_depth']
    call(monkeypatch, 'make_baseline', config, tmp_path / 'b.json', '--name', 'mine', '--results', *results)
    baseline = Baseline.load(tmp_path / 'b.json')
    assert baseline.results['semseg'].value == 61.5
    assert baseline.results['semseg'].variant == {'absent': 'skip'}
    assert (baseline.results['depth'].value, baseline.results['depth'].lower_is_better) == (0.5, True)
    call(
        monkeypatch,
        'make_baseline',
        config,
        tmp_path / 'b.json',
        '--name',
        'mine',
        '--results',
        *results,
        '--take',
        'best',
    )
    assert Baseline.load(tmp_path / 'b.json').results['depth'].value == 0.4
    words, wrong = 'TASK=PATH with a task of the config: semseg, saliency', ('--name', 'x', '--results', 'sky=nowhere')
    refused(words, monkeypatch, capsys, 'make_baseline', config, tmp_path / 'b.json', *wrong)


def test_eval_boundary_prints_what_the_score_depends_on(monkeypatch, capsys, tmp_path):
    for folder in ('predictions', 'truths'):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        prediction, truth = soft_lines(seed)
        cv2.imwrite(
            str(tmp_path / 'predictions' / f'{seed}.png'), np.rint(prediction.clip(0, 1) * 255).astype(np.uint8)
        )
        cv2.imwrite(str(tmp_path / 'truths' / f'{seed}.png'), truth)
    (tmp_path / 'list.txt').write_text('0\n2\n')
    arguments = [tmp_path / 'predictions', tmp_path / 'truths', '--recipe', 'seism-raw', '--max-dist', 0.02]
    arguments += ['--workers', 1, '--cache', tmp_path / 'cache', '--list', tmp_path / 'list.txt', '--thresholds', 9]
    call(monkeypatch, 'eval_boundary', *arguments, '--out', tmp_path / 'scores.json')
    printed = capsys.readouterr().out
    assert '(in %; recipe seism-raw, max_dist 0.02, 9 thresholds, 2 images)' in printed
    result = json.loads((tmp_path / 'scores.json').read_text())
    assert f'odsF {result["odsF"]:.4f}' in printed
    assert result['odsF'] > 90
    assert len(list((tmp_path / 'cache').glob('*.npz'))) == 2

    (tmp_path / 'predictions' / '0.png').unlink()
    refused("lacks 1 of 2 images, first '0'", monkeypatch, capsys, 'eval_boundary', *arguments)
    assert torch.tensor(result['thresholds']).diff().allclose(torch.tensor(0.1))
