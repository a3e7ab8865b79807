"""What the page shows, without a browser: legends, times and quality, and what its sliders ask for."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import ConfigDict

from mtl.demo.answers import Answers
from mtl.tasks.legends import ClassLegend

pytest.importorskip('gradio')

from mtl.demo import page, views


@pytest.fixture(scope='module')
def image():
    return np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)


def words(html):
    return ' '.join(re.sub(r'<[^>]*>', ' ', html).split())


@pytest.mark.parametrize('kind', ['slimmable', 'static'])
def test_without_results_nothing_is_claimed(answers, image, kind):
    made = answers(kind)
    answer = made.answer(image)
    assert 'quality not measured' in words(views.numbers_view(made, answer))
    times = made.times()
    assert set(times) == ({'full', 'small'} if kind == 'slimmable' else {'full'})
    assert all(value > 0 for value in times.values())
    assert words(views.maps_view(answer)).startswith('photograph semseg')


def test_quality_comes_from_the_checkpoint(answers, image, monkeypatch):
    made = answers('slimmable')
    results = dict(
        full={'semseg/mAcc': 60.0, 'semseg/mIoU': 41.26, 'depth/rmse': 0.5},
        small={'semseg/mIoU': 30.0, 'semseg/mAcc': 50.0},
    )
    monkeypatch.setattr(made.inferencer, 'results', results)
    dataset = dict(data_root='data/nyud/', split='val')
    monkeypatch.setattr(made.inferencer, 'cfg', ConfigDict(val_dataloader=dict(dataset=dataset)))
    shown = words(views.numbers_view(made, made.answer(image)))
    assert 'semseg mIoU ↑ 41.3 % 30 %' in shown
    assert 'depth rmse ↓ 0.5 m Time:' in shown
    assert 'normals not measured' in shown
    assert 'on nyud (val)' in shown
    assert 'mIoU' not in words(views.numbers_view(made, made.answer(image, ['depth'])))


def test_names_are_text(answers, image):
    """Names of classes and tasks come out of files."""
    answer = answers('static').answer(image, ['semseg'])
    legend = ClassLegend(('<script>', 'a&b'), np.zeros((2, 3), np.uint8))
    answer.legends['semseg'] = legend
    html = views.maps_view(answer)
    assert '<script>' not in html
    assert '&lt;script&gt;' in html
    assert 'a&amp;b' in html


def test_every_position_of_the_sliders_can_be_had(answers):
    """From the smallest width to the largest that the importance of the tasks lets be used."""
    made: Answers = answers('slimmable')
    choices = [('depth',), ('semseg', 'depth'), made.tasks]
    for tasks, levels in itertools.product(choices, [(4, 4, 4), (1, 1, 1), (1, 4, 2), (2, 1, 3)]):
        costs = []
        for share in (0, 13, 50, 99, 100):
            budget, preference = page._asked(made, tasks, share, levels)
            width = made._width(tasks, budget, preference)
            costs.append(made.cost(tasks, width).macs)
            assert costs[-1] <= budget
        assert costs == sorted(costs)
        assert costs[0] == made.cost(tasks, made.model.space.small.for_tasks(tasks)).macs
        assert (costs[0], costs[-1]) == made.range_of(tasks, preference)
        if len(set(levels)) == 1:
            assert costs[-1] == made.cost(tasks).macs


def test_examples_are_small_and_their_licences_stated():
    stated = Path(page.EXAMPLES[0].parent, 'README.md').read_text()
    assert len(page.EXAMPLES) == 3
    for path in page.EXAMPLES:
        assert path.stat().st_size < 150_000
        assert f'`{path.name}`' in stated
