"""What the page answers: the inferencer's maps, exact costs, and files that hold both."""

import io
import zipfile

import cv2
import numpy as np
import pytest

from mtl.models.accounting import count_macs
from mtl.models.slimmable import WidthConfig


@pytest.fixture(scope='module')
def image():
    coarse = np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (90, 70))


@pytest.mark.parametrize('kind', ['slimmable', 'static'])
def test_maps_are_those_of_the_inferencer(answers, image, kind):
    made = answers(kind)
    answer = made.answer(image, ['depth', 'semseg'])
    assert list(answer.maps) == ['semseg', 'depth']
    expected = made.inferencer(image, tasks=['semseg', 'depth'], channel_order='rgb')['predictions']
    for task, values in expected.items():
        np.testing.assert_allclose(answer.maps[task], values, atol=1e-5)
    assert answer.milliseconds > 0
    assert answer.panel.shape[2] == 3


def test_a_budget_narrows_the_network(answers, image):
    made = answers('slimmable')
    low, high = made.range_of()
    small = made.answer(image, budget=low)
    large = made.answer(image, budget=high)
    assert small.cost.macs == low < high == large.cost.macs
    assert small.cost.parameters < large.cost.parameters
    assert large.width == WidthConfig.full(2, made.tasks)
    preferred = made.answer(image, budget=0.7 * high, preference=dict(semseg=1.0, normals=0.0, depth=0.5))
    decoder = preferred.width.decoder
    assert decoder['semseg'] > decoder['depth'] > decoder['normals']
    assert preferred.cost.macs <= 0.7 * high
    with made.model.at_width(preferred.width):
        expected = made.model.logits(made.model.data_preprocessor(made._batch(image), False)['inputs'])
    semseg = made.model.tasks['semseg']
    same = semseg.predict(expected['semseg'])[0].numpy()
    assert (
        cv2.resize(preferred.maps['semseg'], same.shape[::-1], interpolation=cv2.INTER_NEAREST) == same
    ).mean() > 0.9


def test_cost_of_a_network_of_one_width(answers):
    made = answers('static')
    assert made.cost().macs == count_macs(made.model, 56, 56)
    total = sum(parameter.numel() for parameter in made.model.parameters())
    assert 0.9 * total < made.cost().parameters <= total  # a shared update of the last block is read by no task
    assert made.cost(['depth']).macs < made.cost().macs
    assert made.cost(['depth']).parameters < made.cost().parameters
    assert made.model.active_tasks == ('semseg', 'normals', 'depth')


def test_files(answers, image, tmp_path):
    answer = answers('static').answer(image)
    answer.save(tmp_path / 'maps.zip')
    with zipfile.ZipFile(tmp_path / 'maps.zip') as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(
            ['panel.png', *(f'{task}.{end}' for task in answer.maps for end in ('png', 'npy'))]
        )
        for task, values in answer.maps.items():
            np.testing.assert_array_equal(np.load(io.BytesIO(archive.read(f'{task}.npy'))), values)
            picture = cv2.imdecode(np.frombuffer(archive.read(f'{task}.png'), np.uint8), cv2.IMREAD_COLOR)
            np.testing.assert_array_equal(picture[..., ::-1], answer.pictures[task])
