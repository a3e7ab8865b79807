import numpy as np
import pytest

from mtl.models.slimmable import WidthConfig
from mtl.search.latency import LatencyError, LatencyTable

ENCODER, DECODER, TASKS = (0.25, 0.5, 1.0), (0.5, 0.75, 1.0), ('semseg', 'normals')


def random_widths(count, seed=0, any_ratio=False):
    generator = np.random.default_rng(seed)

    def ratio(knots):
        return float(generator.uniform(knots[0], 1) if any_ratio else generator.choice(knots))

    return [
        WidthConfig((ratio(ENCODER), ratio(ENCODER)), {task: ratio(DECODER) for task in TASKS}) for _ in range(count)
    ]


def time_of(width):
    """A device whose parts take time in straight pieces between the knots."""
    stages = [
        np.interp(ratio, ENCODER, times) for ratio, times in zip(width.encoder, ((1, 2, 6), (2, 2, 3)), strict=True)
    ]
    tasks = [
        np.interp(width.decoder[task], DECODER, times)
        for task, times in zip(TASKS, ((3, 4, 9), (1, 5, 6)), strict=True)
    ]
    return 10 + sum(stages) + sum(tasks)


def test_recovers_a_device_that_is_additive():
    widths = random_widths(40)
    table = LatencyTable.fit(widths, [time_of(width) for width in widths], ENCODER, DECODER)
    for width in random_widths(40, seed=1, any_ratio=True):
        assert table.of(width) == pytest.approx(time_of(width))
    errors = table.errors(random_widths(20, seed=2), [time_of(width) * 1.1 for width in random_widths(20, seed=2)])
    assert errors == pytest.approx({'mean': 100 / 11, 'largest': 100 / 11, 'rank correlation': 1})


def test_more_of_a_network_never_takes_less_time():
    """Whatever the noise of the measurements."""
    widths = random_widths(30)
    noisy = [
        time_of(width) + noise
        for width, noise in zip(widths, np.random.default_rng(0).normal(size=30) * 3, strict=True)
    ]
    table = LatencyTable.fit(widths, noisy, ENCODER, DECODER)
    for width in random_widths(100, seed=3, any_ratio=True):
        larger = WidthConfig((width.encoder[0], 1.0), {**width.decoder, 'normals': 1.0})
        assert table.of(larger) >= table.of(width) >= table.constant >= 0


def test_files(tmp_path):
    widths = random_widths(20)
    table = LatencyTable.fit(widths, [time_of(w) for w in widths], ENCODER, DECODER, about=dict(device='a test'))
    table.save(tmp_path / 'latency.json')
    assert LatencyTable.load(tmp_path / 'latency.json') == table
    (tmp_path / 'other.json').write_text('[1, 2]')
    for name in ('other.json', 'nowhere.json'):
        with pytest.raises(LatencyError, match=r'measure_latency\.py'):
            LatencyTable.load(tmp_path / name)


def test_a_table_of_another_network_is_told():
    widths = random_widths(20)
    table = LatencyTable.fit(widths, [time_of(width) for width in widths], ENCODER, DECODER)
    with pytest.raises(LatencyError, match='2 stages and the tasks semseg, normals; found 3 stages'):
        table.of(WidthConfig((1.0, 1.0, 1.0), dict.fromkeys(TASKS, 1.0)))
    with pytest.raises(LatencyError, match='Measure this network'):
        table.of(WidthConfig((1.0, 1.0), dict(semseg=1.0)))
