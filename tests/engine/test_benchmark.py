"""Measuring: so many runs, the first ones unmeasured."""

import time

import numpy as np
import pytest

from mtl.engine.benchmark import Measurement, measure


def test_runs_and_warm_up():
    calls = []
    found = measure(lambda: calls.append(1), runs=7, warm_up=3)
    assert len(calls) == 10
    assert len(found.seconds) == 7
    assert found.memory > 2**20


def test_only_the_step_is_measured():
    waits = iter([0.05, 0.0, 0.02])
    found = measure(lambda: time.sleep(next(waits)), runs=2, warm_up=1)
    assert found.seconds[1] >= 0.02
    assert len(found.seconds) == 2


def test_percentiles():
    found = Measurement(tuple(np.arange(101) / 100), 0)
    assert found.percentile(50) == pytest.approx(0.5)
    assert found.percentile(99) == pytest.approx(0.99)
