import json
import math
import socket

import pytest
import torch
import torch.multiprocessing as multiprocessing
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement

from mtl.evaluation import Baseline, BaselineResult, MultiTaskEvaluator, delta_m, published

from .conftest import TASKS, make_sample


def build(**options):
    return MultiTaskEvaluator(tasks=TASKS, **options)


def test_the_runner_builds_it_from_a_config_with_an_empty_metrics_key():
    config = ConfigDict(type='MultiTaskEvaluator', tasks=TASKS, metrics=dict())
    assert isinstance(Runner.build_evaluator(None, config), MultiTaskEvaluator)


def test_every_task_has_its_headline_and_a_row(samples, logged):
    evaluator = build()
    for sample in samples:
        evaluator.process([BaseDataElement(metainfo=dict(sample_id=sample.pop('sample_id')), **sample)])
    result = evaluator.evaluate(len(samples))
    assert {'semseg/mIoU', 'saliency/maxF', 'normals/mErr', 'edge/fastF', 'depth/rmse'} <= set(result)
    rows = {line.split()[0]: line.split()[1:] for line in logged[-1].splitlines() if line.split()[:1]}
    assert rows['semseg'][:4] == ['mIoU', '↑', f'{result["semseg/mIoU"]:.3f}', '%']
    assert rows['normals'][:4] == ['mErr', '↓', f'{result["normals/mErr"]:.3f}', 'deg']
    assert rows['edge'][0] == 'fastF'
    assert float(rows['depth'][4]) > float(rows['depth'][2])  # the best constant is worse
    assert 'not comparable with odsF' in logged[-1]


def test_only_some_tasks(samples, logged):
    evaluator = build()
    only = [
        {key: value for key, value in s.items() if not key.startswith('pred_') or key == 'pred_depth'} for s in samples
    ]
    evaluator.process(only)
    assert {name.split('/')[0] for name in evaluator.evaluate(len(only))} == {'depth'}
    assert 'semseg' not in logged[-1]


def test_prefix(samples, logged):
    evaluator = build(prefix='width/small', table=False)
    evaluator.process(samples)
    assert 'width/small/semseg/mIoU' in evaluator.evaluate(len(samples))
    assert logged == []


def test_overrides_reach_the_metric():
    evaluator = build(metrics=dict(semseg=dict(absent='zero'), edge=dict(mode='off')))
    assert [metric.variant for metric in evaluator.metrics if metric.task.name == 'semseg'] == [{'absent': 'zero'}]
    with pytest.raises(ValueError, match='metrics names sky; the tasks are semseg, '):
        build(metrics=dict(sky={}))


def test_delta_m_by_hand(samples, logged, tmp_path):
    plain = build()
    plain.process(samples)
    values = plain.evaluate(len(samples))
    results = dict(
        semseg=BaselineResult('mIoU', values['semseg/mIoU'] / 1.10),  # 10 % better
        normals=BaselineResult('mErr', values['normals/mErr'] / 1.30, lower_is_better=True),  # 30 % worse
    )
    Baseline('ours', 'two runs', results).save(tmp_path / 'baseline.json')
    evaluator = build(baseline=str(tmp_path / 'baseline.json'))
    evaluator.process(samples)
    assert evaluator.evaluate(len(samples))['delta_m'] == pytest.approx(-10.0)
    assert 'baseline ours: two runs' in logged[-1]
    assert 'delta_m -10.00 % over semseg, normals' in logged[-1]


def test_published_numbers_of_mtlora_give_its_published_delta():
    baseline = Baseline.load('mtlora_swin_tiny_pascal')
    reached = dict(semseg=67.90, human_parts=59.84, saliency=65.40, normals=16.60)
    gains = {task: baseline.results[task].gain(value) for task, value in reached.items()}
    assert delta_m(gains) == pytest.approx(2.55, abs=0.01)


def test_another_variant_is_named(samples, logged):
    evaluator = build(baseline='mtlora_swin_tiny_pascal')
    evaluator.process(samples)
    evaluator.evaluate(len(samples))
    assert 'saliency: gain over a value of another variant (recipe=image there, dataset here)' in logged[-1]


def test_unknown_and_broken_baselines(tmp_path):
    assert 'mtlora_swin_tiny_pascal' in published()
    with pytest.raises(FileNotFoundError, match='Published ones: mtlora_swin_tiny_pascal'):
        Baseline.load('nothing')
    (tmp_path / 'a.json').write_text(json.dumps(dict(name='a', source='b')))
    with pytest.raises(ValueError, match='is not a baseline file'):
        Baseline.load(tmp_path / 'a.json')
    Baseline('a', 'b', dict(x=BaselineResult('mIoU', 0.0))).save(tmp_path / 'a.json')
    with pytest.raises(ValueError, match='must be above 0'):
        Baseline.load(tmp_path / 'a.json')


def test_images_that_count_twice_are_noticed(samples, logged):
    evaluator = build(table=False)
    evaluator.process([*samples, samples[0]])
    evaluator.evaluate(len(samples))
    assert '1 count twice' in logged[0]
    evaluator.process(samples)
    evaluator.evaluate(len(samples))
    assert len(logged) == 1


def _evaluate_share(rank: int, world: int, port: int, path: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'tcp://127.0.0.1:{port}', rank=rank, world_size=world)
    with DefaultScope.overwrite_default_scope('mtl'):
        evaluator = build(table=False)
        # the second process sees no image at all for some tasks, and three images against two
        for seed in range(rank, 5, world):
            sample = make_sample(seed, height=20 + seed)
            if rank == 1:
                del sample['gt_depth'], sample['pred_semseg']
            evaluator.process([sample])
        statistics = {metric.task.name: metric.gather() for metric in evaluator.metrics}
    torch.save(statistics, f'{path}/{rank}.pt')
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path):
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_evaluate_share, args=(2, port, str(tmp_path)), nprocs=2)
    together = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]

    evaluator = build(table=False)
    for seed in range(5):
        sample = make_sample(seed, height=20 + seed)
        if seed % 2:
            del sample['gt_depth'], sample['pred_semseg']
        evaluator.process([sample])
    for metric in evaluator.metrics:
        alone = metric.gather()
        for statistics in together:
            for name, value in statistics[metric.task.name].items():
                if value.dtype == torch.int64:
                    assert torch.equal(value, alone[name]), name
                else:
                    assert torch.allclose(value, alone[name], rtol=1e-14), name
        ours, theirs = metric.summarize(alone), metric.summarize(together[0][metric.task.name])
        assert all(math.isclose(ours[name], theirs[name], rel_tol=1e-12) for name in ours)
