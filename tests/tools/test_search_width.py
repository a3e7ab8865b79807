"""The tools about widths on a micro network, real images and files."""

import csv
import json

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.models.accounting import count_macs
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.materialize import materialize
from mtl.protocols import adapter_layers
from mtl.registry import MODELS
from mtl.search.calibration import Calibration
from mtl.search.latency import LatencyTable

CONFIG = """
default_scope = 'mtl'
tasks = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
)
model = dict(
    type='MultiTaskModel',
    tasks=tasks,
    data_preprocessor=dict(type='MultiTaskDataPreprocessor', mean=[124.0] * 3, std=[58.0] * 3, bgr_to_rgb=True),
    backbone=dict(
        type='SwinBackbone', img_size=(64, 64), embed_dim=12, depths=(1, 1), num_heads=(4, 4), window_size=4,
        pretrained='base.pth', drop_path_rate=0.0, adapters=dict(rank=3, task_rank=2),
    ),
    decoder=dict(type='TaskExpertDecoder', channels=16, experts=2),
    slimming=dict(encoder=(0.25, 0.5, 1.0), decoder=(0.5, 1.0), multiple=4),
)
data_root = 'scenes'
val_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='MiniScenes', data_root=data_root, num_train=1, num_val=4, size=(64, 64), split='val', tasks=tasks,
        test_mode=True,
        pipeline=[dict(type='LoadImage'), dict(type='Resize', size=(64, 64)), dict(type='LoadLabels'),
                  dict(type='Pack')],
    ),
)
val_evaluator = dict(type='MultiTaskEvaluator', tasks=tasks, metrics=dict())
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Folder with ``run.py`` and ``run.pth``: a slimmable network with random weights, as a run leaves it."""
    folder = tmp_path_factory.mktemp('slim')
    (folder / 'run.py').write_text(CONFIG)
    config = Config.fromfile(folder / 'run.py')
    torch.manual_seed(0)
    model = build_for_checkpoint(config)
    for _, layer in adapter_layers(model):
        for parameter in layer.adapter_parameters():
            nn.init.normal_(parameter, std=0.3)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), folder / 'run.pth')
    return folder


@pytest.fixture
def search(trained, run_tool, monkeypatch):
    """``search(budget, out, *further arguments)`` in the folder of the run."""
    monkeypatch.chdir(trained)

    def run(budget, out, *arguments):
        return run_tool(
            'search_width', 'run.py', 'run.pth', '--budget', budget, '--out', out, '--images', 3, *arguments
        )

    return run


def test_finds_a_width_and_writes_it(search, trained, tmp_path):
    status, output, error = search('GMACs=0.0021', tmp_path, '--preference', 'normals=3', '--evaluations', 12)
    assert status == 0, error
    width = WidthConfig.load(tmp_path / 'width.json')
    assert width.decoder['semseg'] == width.decoder['saliency'] <= width.decoder['normals']
    report = json.loads((tmp_path / 'front.json').read_text())
    assert report['best']['width'] == width.to_dict()
    assert report['evaluations'] == 12
    assert not report['exhaustive']
    with open(tmp_path / 'front.csv') as file:
        rows = list(csv.DictReader(file))
    assert [float(row['GMACs']) for row in rows] == [entry['GMACs'] for entry in report['front']]
    assert (tmp_path / 'front.png').stat().st_size > 10_000
    assert 'width.json' in output
    assert 'reference point' in output

    config = Config.fromfile('run.py')
    options, _ = materialize(build_for_checkpoint(config), config.model, width)
    macs = count_macs(MODELS.build(options), 64, 64)
    assert macs == report['best']['macs'] <= 0.0021e9


def test_the_same_seed_gives_the_same_answer_also_after_an_interruption(search, tmp_path, monkeypatch):
    options = ('--preference', 'semseg=2', '--evaluations', 8, '--seed', 5)
    assert search('GFLOPs=0.005', tmp_path / 'whole', *options)[0] == 0

    evaluate, calls = Calibration.evaluate, []

    def interrupted(self, width):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(width)
        return evaluate(self, width)

    monkeypatch.setattr(Calibration, 'evaluate', interrupted)
    status, output, _ = search('GFLOPs=0.005', tmp_path / 'parts', *options)
    assert status == 130
    assert '4 evaluations' in output
    (cache,) = (tmp_path / 'parts').glob('evaluations-*.jsonl')
    with open(cache, 'a') as file:
        file.write('{"width": {"encoder": [0.')  # as if killed while writing

    later = []
    monkeypatch.setattr(Calibration, 'evaluate', lambda self, width: later.append(width) or evaluate(self, width))
    status, _, error = search('GFLOPs=0.005', tmp_path / 'parts', *options)
    assert status == 0, error
    assert len(later) == 9 - 4  # full width, for reference, and 8 more
    assert not set(later) & set(calls)
    for name in ('width.json', 'front.csv', 'front.json'):
        assert (tmp_path / 'parts' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


def test_some_tasks_all_widths_within_the_budget(search, tmp_path):
    """A small space is evaluated whole, and the best is the best of all."""
    status, output, error = search('params=9k', tmp_path, '--tasks', 'semseg', 'normals', '--merged')
    assert status == 0, error
    report = json.loads((tmp_path / 'front.json').read_text())
    assert report['exhaustive']
    assert 'all that keep the budget' in output
    (cache,) = (tmp_path / '.').glob('evaluations-*.jsonl')
    widths = [json.loads(line)['width'] for line in cache.read_text().splitlines()]
    assert all(set(width['decoder']) == {'semseg', 'normals'} for width in widths)
    assert report['best']['performance'] == max(entry['performance'] for entry in report['front'])
    assert all(entry['parameters'] <= 9000 for entry in report['front'])


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (('MMACs=1',), ('GFLOPs=VALUE', 'MMACs')),
        (('GMACs=0',), ('above 0',)),
        (('GMACs=0.0001',), ('No width keeps 0.0001 GMACs', 'smallest possible costs 0.001268 GMACs')),
        (('ms=5',), ('latency table', 'measure_latency.py')),
        (('ms=5', '--latency', 'nowhere.json'), ('nowhere.json', 'measure_latency.py')),
        (('ms=5', '--latency', 'run.py'), ('run.py is not a latency table',)),
        (('GMACs=1', '--preference', 'colour=2'), ('semseg, saliency, normals', 'colour=2')),
        (('GMACs=1', '--preference', 'semseg=0'), ('above 0', 'semseg=0')),
        (('GMACs=1', '--tasks', 'depth'), ('semseg', 'depth')),
        (('GMACs=1', '--reference', 'nowhere'), ('nowhere',)),
    ],
)
def test_wrong_inputs_are_told_in_one_sentence(search, tmp_path, arguments, words):
    status, _, error = search(arguments[0], tmp_path, *arguments[1:])
    assert status == 2, error
    assert error.count('error: ') == 1
    for word in words:
        assert word in error


def test_a_network_of_one_width_is_told(search, run_tool, trained_run, tmp_path):
    config, checkpoint, _ = trained_run()
    status, _, error = run_tool('search_width', config, checkpoint, '--budget', 'GMACs=1', '--out', tmp_path)
    assert status == 2
    assert 'one width only' in error


def test_a_latency_table_is_measured_and_used(search, run_tool, tmp_path):
    table = tmp_path / 'latency.json'
    options = ('--widths', 12, '--held-out', 4, '--repeats', 1, '--shape', 64, 32, '--tasks', 'semseg', 'normals')
    status, output, error = run_tool('analysis/measure_latency', 'run.py', '--out', table, *options)
    assert status == 0, error
    about = json.loads(table.read_text())['about']
    assert (about['fitted'], about['held_out']['widths'], about['shape']) == (12, 4, [64, 32])
    assert all(entry['ms'] > 0 and entry['macs'] > 0 for entry in about['measured'])
    assert f'{about["held_out"]["mean"]:.1f} % in the mean' in output

    options = ('--latency', table, '--evaluations', 6)
    status, _, error = search('ms=100000', tmp_path, '--tasks', 'semseg', 'normals', *options)
    assert status == 0, error
    best = json.loads((tmp_path / 'front.json').read_text())['best']
    assert best['ms'] == pytest.approx(LatencyTable.load(table).of(WidthConfig.load(tmp_path / 'width.json')))
    status, _, error = search('ms=100000', tmp_path, *options)
    assert status == 2
    assert 'tasks semseg, normals' in error
    status, _, error = search('ms=0.000001', tmp_path, '--tasks', 'semseg', 'normals', *options)
    assert status == 2
    assert 'smallest possible' in error


def test_controllability(search, run_tool, tmp_path):
    options = ('--images', 2, '--budgets', 3, '--vectors', 8, '--evaluations', 4)
    arguments = ('run.py', 'run.pth', '--budget', 'GMACs=0.002', '--out', tmp_path, *options)
    status, output, error = run_tool('analysis/controllability', *arguments)
    assert status == 0, error
    report = json.loads((tmp_path / 'control.json').read_text())
    assert (report['images'], report['unseen images']) == (2, 2)
    assert len(report['preferences']) == 8
    assert all(entry['cost'] <= 0.002 for entry in report['preferences'])
    for entry in report['preferences']:
        ratios = [entry['width']['decoder'][task] for task in sorted(entry['why'], key=entry['why'].get)]
        assert ratios == sorted(ratios)
    assert all(entry['cost'] <= entry['why']['GMACs'] <= report['full']['GMACs'] for entry in report['budgets'])
    seen = [entry['seen'] for entry in report['budgets']]
    assert seen == sorted(seen)  # a larger budget has all that a smaller one has
    full = report['uniform'][-1]
    assert full['cost'] == report['full']['GMACs']
    assert full['gains'] == dict.fromkeys(report['control'], 0.0)
    assert set(report['control']) == {'semseg', 'saliency', 'normals'}
    assert f'{report["hypervolume"]["searched"]:.4f}' in output
    assert (tmp_path / 'control.png').is_file()
    first, (cache,) = (tmp_path / 'control.json').read_bytes(), tmp_path.glob('evaluations-*.jsonl')
    lines = cache.read_text().splitlines()
    assert len(lines) == report['evaluations']

    cache.write_text('\n'.join(lines[:9]) + '\n')  # as if interrupted there
    status, _, error = run_tool('analysis/controllability', *arguments)
    assert status == 0, error
    assert (tmp_path / 'control.json').read_bytes() == first


@pytest.mark.parametrize('tool', ['search_width', 'analysis/controllability'])
def test_a_network_that_has_learnt_nothing_is_told(search, run_tool, tmp_path, monkeypatch, tool):
    evaluate = Calibration.evaluate
    monkeypatch.setattr(Calibration, 'evaluate', lambda self, width: evaluate(self, width) | {'semseg/mIoU': 0.0})
    arguments = ('--budget', 'GMACs=1', '--out', tmp_path, '--images', 2)
    status, _, error = run_tool(tool, 'run.py', 'run.pth', *arguments)
    assert status == 2, error
    assert 'At full width semseg has mIoU = 0' in error
