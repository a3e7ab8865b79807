"""The width of a budget and preferences, against the rule written out with a made-up cost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.models.slimmable import WidthSpace
from mtl.search.quick import quick_width

SPACE = WidthSpace(3, ('a', 'b'), encoder=(0.25, 0.5, 0.75, 1.0), decoder=(0.25, 0.5, 0.75, 1.0))


class Made:
    """Costs 100 times the mean encoder ratio, and 50 times each decoder's."""

    def macs(self, encoder, decoder):
        return 100 * np.asarray(encoder).mean(1) + sum(50 * np.asarray(ratios) for ratios in decoder.values())

    def of(self, width):
        return self.macs([width.encoder], {task: np.array([ratio]) for task, ratio in width.decoder.items()})[0]


@given(st.floats(10, 250), st.floats(0, 1), st.floats(0, 1))
def test_fits_and_follows_preference(budget, a, b):
    width = quick_width(SPACE, Made(), dict(a=a, b=b), budget)
    SPACE.check(width)
    assert len(set(width.encoder)) == 1
    assert (width.decoder['a'] - width.decoder['b']) * (a - b) >= 0
    cheapest = 50.0
    assert Made().of(width) <= max(budget, cheapest)
    larger = [ratio for ratio in SPACE.encoder if ratio > width.encoder[0]]
    if larger and budget >= cheapest:  # the next encoder would not have fitted
        dearer = 100 * larger[0] + 50 * sum(width.decoder.values())
        assert dearer > budget


@pytest.mark.parametrize(
    ('budget', 'preference', 'encoder', 'a', 'b'),
    [
        (200, dict(a=1, b=1), 1.0, 1.0, 1.0),
        (199, dict(a=1, b=1), 0.75, 1.0, 1.0),
        (140, dict(a=1, b=0), 0.75, 1.0, 0.25),
        (100, dict(a=1, b=1), 0.25, 0.75, 0.75),  # all decoders give way where the smallest encoder does not fit
        (1, dict(a=1, b=0), 0.25, 0.25, 0.25),
        (200, dict(a=0, b=0), 1.0, 0.25, 0.25),
    ],
)
def test_examples(budget, preference, encoder, a, b):
    width = quick_width(SPACE, Made(), preference, budget)
    assert (width.encoder[0], width.decoder['a'], width.decoder['b']) == (encoder, a, b)
