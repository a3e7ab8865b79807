"""Legends: every class that occurs is named, in its colour, within the width."""

import numpy as np
import pytest

from mtl.tasks.legends import ClassLegend, PictureLegend, ScaleLegend
from mtl.visualization import draw_legend
from mtl.visualization import legend as module
from mtl.visualization.canvas import STRIP, shortened, text_width

COLOURS = np.array([[200, 10, 10], [10, 200, 10], [10, 10, 200], [90, 90, 10], [200, 200, 60], [7, 77, 177]], np.uint8)
NAMES = ('sky', 'road', 'tree', 'a rather long name', 'car', 'person')


@pytest.fixture
def written(monkeypatch):
    """All texts that a legend writes."""
    texts = []
    original = module.write

    def write(canvas, text, origin):
        texts.append(text)
        original(canvas, text, origin)

    monkeypatch.setattr(module, 'write', write)
    return texts


def holds(picture, colour):
    return bool((picture == colour).all(axis=2).any())


def test_classes_flow_over_lines(written):
    wide = draw_legend(ClassLegend(NAMES, COLOURS), 1000)
    assert wide.shape == (STRIP, 1000, 3)
    written.clear()
    narrow = draw_legend(ClassLegend(NAMES, COLOURS), 150)
    assert narrow.shape[1] == 150
    assert narrow.shape[0] > STRIP
    assert written == list(NAMES)
    for picture in (wide, narrow):
        assert all(holds(picture, colour) for colour in COLOURS)


@pytest.mark.parametrize('width', [60, 90, 150, 300])
def test_more_classes_than_fit_are_counted(written, width):
    names = tuple(f'class {index}' for index in range(60))
    colours = np.random.default_rng(0).integers(0, 256, (60, 3)).astype(np.uint8)
    picture = draw_legend(ClassLegend(names, colours), width)
    assert picture.shape == (module.ROWS * STRIP, width, 3)
    named = sum(holds(picture, colour) for colour in colours)
    assert 0 < named < 60
    assert written[-1] == f'and {60 - named} more'


def test_no_class_at_all():
    assert (draw_legend(ClassLegend((), COLOURS[:0]), 50) == 255).all()


def test_a_scale_has_its_colours_in_order_and_its_unit(written):
    colours = np.linspace(0, 255, 256).astype(np.uint8)[:, None].repeat(3, axis=1)
    picture = draw_legend(ScaleLegend(colours, 0.0, 10.0, 'm'), 300)
    assert written == ['0', '5', '10 m']
    bar = picture[8, 2:-2, 0].astype(int)
    assert (np.diff(bar) >= 0).all()
    assert bar[0] < 3
    assert bar[-1] > 252
    written.clear()
    draw_legend(ScaleLegend(colours, 0.0, 10.0, 'm', beyond=True), 60)
    assert written == ['0', '10+ m']  # no room for the middle


def test_a_picture_with_words(written):
    ball = np.full((48, 48, 3), 7, np.uint8)
    picture = draw_legend(PictureLegend(ball, ('one', 'two')), 200)
    assert picture.shape[1] == 200
    assert written == ['one', 'two']
    assert (picture == 7).all(axis=2).sum() == 48 * 48


def test_nothing_to_say():
    assert draw_legend(None, 80).shape == (0, 80, 3)


def test_words_are_shortened_to_what_fits():
    assert shortened('road', 500) == 'road'
    short = shortened('a rather long name', 60)
    assert short.endswith('..')
    assert text_width(short) <= 60
