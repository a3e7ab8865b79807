import math
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from mtl.evaluation import BoundaryMetric
from mtl.evaluation.boundary.counts import best_counts, count_image, scores
from mtl.evaluation.boundary.fast import dilate
from mtl.evaluation.boundary.pool import Protocol, count_all
from mtl.evaluation.boundary.recipes import RECIPES, even_thresholds

from .conftest import run


def soft_lines(seed: int, size: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """A label of two lines and a noisy prediction of them, slightly displaced."""
    random = np.random.default_rng(seed)
    truth = np.zeros((size, size), np.uint8)
    truth[10], truth[:, 25] = 1, 1
    prediction = 0.3 * random.random((size, size))
    prediction[10 + seed % 2] += 0.5
    prediction[:, 24] += 0.6
    return np.float32(prediction.clip(0, 1)), truth


def samples(count: int) -> list[dict]:
    pairs = [soft_lines(seed) for seed in range(count)]
    return [
        dict(sample_id=f'image{i}', pred_edge=torch.from_numpy(p), gt_edge=torch.from_numpy(g))
        for i, (p, g) in enumerate(pairs)
    ]


@pytest.mark.parametrize('radius', [0.0, 1.0, 4.34, 30.0])
def test_dilation_takes_the_largest_of_a_disk(radius):
    torch.manual_seed(0)
    values = torch.rand(9, 13)
    y, x = np.mgrid[:9, :13]
    expected = [
        [float(values[torch.from_numpy(np.hypot(y - i, x - j) <= radius)].max()) for j in range(13)] for i in range(9)
    ]
    assert torch.equal(dilate(values, radius), torch.tensor(expected))


def test_fast_mode_by_hand(tasks):
    truth = torch.zeros(30, 40, dtype=torch.uint8)  # diagonal 50, tolerance 2 pixels
    truth[:, 10] = 1
    truth[0] = 255
    prediction = torch.zeros(30, 40)
    prediction[:, 12] = 0.9
    prediction[:, 30] = 0.9
    result = run(BoundaryMetric(tasks['edge'], max_dist=0.04), [dict(gt_edge=truth, pred_edge=prediction)])
    assert set(result) == {'fastF', 'fastOdsF', 'loss'}
    assert result['fastF'] == pytest.approx(100 * 2 * 0.5 / 1.5)
    assert result['fastOdsF'] == pytest.approx(result['fastF'])
    epsilon = 1e-7  # probabilities are clipped there
    positives, wrong, right = -29 * math.log(epsilon), -58 * math.log(0.1), -29 * 37 * math.log1p(-epsilon)
    assert result['loss'] == pytest.approx((0.95 * positives + 0.05 * (wrong + right)) / (29 * 40), rel=1e-5)


def test_best_threshold_of_the_fast_mode(tasks):
    """By running ``fastF`` itself, whose threshold is 0.5, on maps cut off at each of the others."""
    data = samples(3)
    for sample in data:
        sample['gt_edge'] = sample['gt_edge'].clone()
        sample['gt_edge'][:3] = 255
    found = run(BoundaryMetric(tasks['edge'], max_dist=0.01), data)

    def at(threshold):
        above = [{**s, 'pred_edge': (50 * s['pred_edge'] >= threshold).float()} for s in data]
        return run(BoundaryMetric(tasks['edge'], max_dist=0.01), above)['fastF']

    assert found['fastOdsF'] == pytest.approx(max(at(threshold) for threshold in range(1, 50)))
    less_sure = [{**s, 'pred_edge': 0.3 * s['pred_edge']} for s in data]
    less = run(BoundaryMetric(tasks['edge'], max_dist=0.01), less_sure)
    assert less['fastF'] == 0
    assert less['fastOdsF'] == pytest.approx(found['fastOdsF'], abs=1.0)


def test_fast_constant_is_all_ones(tasks):
    metric, data = BoundaryMetric(tasks['edge']), samples(2)
    ones = run(metric, [{**s, 'pred_edge': torch.ones_like(s['pred_edge'])} for s in data])
    metric.process(None, data)
    assert metric.best_constant(metric.gather()) == pytest.approx(ones['fastF'])


def test_full_mode_is_the_sum_over_images(tasks):
    metric = BoundaryMetric(tasks['edge'], mode='full', recipe='seism-nms', max_dist=0.02, workers=1)
    result = run(metric, samples(3))
    counts = [count_image(p, [g == 1], RECIPES['seism-nms'], 0.02) for p, g in map(soft_lines, range(3))]
    assert result == pytest.approx(scores(sum(counts), sum(map(best_counts, counts))))
    assert result['odsF'] > 80


def test_full_mode_says_by_what_recipe(tasks):
    metric = BoundaryMetric(tasks['edge'], mode='full', recipe='seism-raw', workers=1)
    metric.process(None, samples(1))
    totals = metric.gather()
    assert metric.headline == 'odsF'
    assert metric.note(totals) == 'odsF by recipe seism-raw, max_dist 0.0075, 99 thresholds, 1 images'
    assert metric.best_constant(totals) < metric.summarize(totals)['odsF']


def test_an_image_list_restricts_the_images(tasks, tmp_path):
    (tmp_path / 'list.txt').write_text('image1\n')
    data = samples(3)
    listed = BoundaryMetric(tasks['edge'], image_list=tmp_path / 'list.txt')
    assert run(listed, data) == run(BoundaryMetric(tasks['edge']), data[1:2])


def test_off_computes_nothing(tasks):
    assert run(BoundaryMetric(tasks['edge'], mode='off'), samples(1)) == {}


def test_unknown_mode(tasks):
    with pytest.raises(ValueError, match="found 'slow' for task 'edge'"):
        BoundaryMetric(tasks['edge'], mode='slow')


@pytest.fixture
def files(tmp_path):
    pairs = []
    for seed in range(3):
        pair = tmp_path / f'p{seed}.npy', tmp_path / f'g{seed}.npy'
        for path, values in zip(pair, soft_lines(seed), strict=True):
            np.save(path, values)
        pairs.append(pair)
    return pairs


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_numbers(tasks, files):
    protocol = Protocol(RECIPES['bsds'], 0.02, even_thresholds(7))
    alone, together = (sorted(count_all(protocol, files, workers), key=lambda item: item[0]) for workers in (1, 2))
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(alone, together, strict=True))
    metrics = [BoundaryMetric(tasks['edge'], mode='full', max_dist=0.02, workers=workers) for workers in (1, 2)]
    assert run(metrics[0], samples(3)) == run(metrics[1], samples(3))


@pytest.mark.slow
def test_workers_do_not_outlive_a_killed_evaluation(tmp_path):
    script = tmp_path / 'killed.py'
    script.write_text(
        'import os\n'
        'from mtl.evaluation.boundary.pool import open_pool\n'
        "if __name__ == '__main__':\n"
        '    print(open_pool(1).submit(os.getpid).result(), flush=True)\n'
        '    os.kill(os.getpid(), 9)\n'
    )
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, str(script)], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        process.wait()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail(f'worker {worker} still lives')


def test_an_interrupted_evaluation_resumes(files, tmp_path, monkeypatch):
    protocol = Protocol(RECIPES['seism-raw'], 0.02, even_thresholds(5), tmp_path / 'cache')
    expected = dict(count_all(protocol, files[:2], workers=1))
    counted = []

    def counting(prediction, *arguments, **options):
        counted.append(prediction)
        return count_image(prediction, *arguments, **options)

    monkeypatch.setattr('mtl.evaluation.boundary.pool.count_image', counting)
    again = dict(count_all(protocol, files, workers=1))
    assert len(counted) == 1
    assert all(np.array_equal(again[index], expected[index]) for index in expected)


def test_the_cache_depends_on_content_and_protocol(files, tmp_path):
    protocol = Protocol(RECIPES['seism-raw'], 0.02, even_thresholds(5), tmp_path / 'cache')
    before = protocol.count_files(*files[0])
    assert not np.array_equal(
        Protocol(RECIPES['seism-raw'], 0.0, even_thresholds(5), protocol.cache).count_files(*files[0]), before
    )
    np.save(files[0][0], np.zeros((40, 40), np.float32))
    assert protocol.count_files(*files[0])[:, 3].sum() == 0


def test_sizes_that_differ_are_an_error(files):
    np.save(files[0][0], np.zeros((10, 40), np.float32))
    with pytest.raises(ValueError, match=r'has size \(10, 40\), but its ground truth .* has \(40, 40\)'):
        Protocol(RECIPES['bsds'], 0.02).count_files(*files[0])
