"""Widths: validation, files, spaces, rounding."""

import json
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl.models.slimmable import WidthConfig, WidthError, WidthGroup, WidthSpace

RATIOS = st.floats(0.01, 1.0)
WIDTHS = st.builds(
    WidthConfig,
    st.lists(RATIOS, min_size=1, max_size=4).map(tuple),
    st.dictionaries(st.sampled_from(['semseg', 'normals', 'edge']), RATIOS, min_size=1),
)


@given(WIDTHS)
def test_files_and_copies_are_equal(width):
    assert WidthConfig.from_dict(json.loads(json.dumps(width.to_dict()))) == width
    assert pickle.loads(pickle.dumps(width)) == width
    assert len({width, WidthConfig.from_dict(width.to_dict())}) == 1


def test_file(tmp_path):
    width = WidthConfig((1.0, 0.5), dict(semseg=0.25, normals=1.0))
    width.save(tmp_path / 'width.json')
    assert WidthConfig.load(tmp_path / 'width.json') == width
    assert str(width) == 'encoder 1 0.5; semseg 0.25, normals 1'


def test_order_of_tasks_does_not_matter():
    a, b = WidthConfig((1,), dict(semseg=0.5, edge=1)), WidthConfig((1,), dict(edge=1, semseg=0.5))
    assert a == b
    assert hash(a) == hash(b)


def test_it_cannot_be_changed():
    width = WidthConfig.full(2, ['semseg'])
    with pytest.raises(AttributeError):
        width.encoder = (0.5, 0.5)
    with pytest.raises(TypeError):
        width.decoder['semseg'] = 0.5


@pytest.mark.parametrize('ratio', [0, -0.5, 1.01, float('nan'), '0.5', True, None])
def test_what_is_no_ratio(ratio):
    with pytest.raises(WidthError, match=r'above 0 and at most 1; found .* for task semseg'):
        WidthConfig((1.0,), dict(semseg=ratio))
    with pytest.raises(WidthError, match='for stage 1'):
        WidthConfig((1.0, ratio), dict(semseg=1.0))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{', 'is not JSON'),
        ('[1, 2]', "two entries, 'encoder' and 'decoder'"),
        ('{"encoder": [1.0]}', 'found encoder'),
        ('{"encoder": 1.0, "decoder": {"semseg": 1.0}}', 'a list of one ratio per stage'),
        ('{"encoder": [2.0], "decoder": {"semseg": 1.0}}', 'found 2.0 for stage 0'),
    ],
)
def test_what_is_no_file(text, message, tmp_path):
    (tmp_path / 'width.json').write_text(text)
    with pytest.raises(WidthError, match=message):
        WidthConfig.load(tmp_path / 'width.json')
    with pytest.raises(WidthError, match='There is no width file'):
        WidthConfig.load(tmp_path / 'other.json')


def test_owners():
    width = WidthConfig((1.0, 0.5), dict(semseg=0.25, normals=0.75))
    assert width.ratio(1) == 0.5
    assert width.ratio('semseg') == 0.25
    assert width.ratio(('semseg', 'normals', 'edge')) == 0.75  # edge does not run
    assert width.for_tasks(['semseg']).decoder == dict(semseg=0.25)
    with pytest.raises(WidthError, match='no ratio for edge; it has semseg, normals'):
        width.for_tasks(['edge'])


LISTED = WidthSpace(2, ['semseg', 'edge'], encoder=[1.0, 0.5, 0.25], decoder=[0.5, 1])
ANY = WidthSpace(2, ['semseg', 'edge'], encoder=0.3, decoder=0.5)


@pytest.mark.parametrize('space', [LISTED, ANY])
def test_samples_are_allowed_and_reproducible(space):
    drawn = [space.sample(random.Random(seed)) for seed in range(50)]
    assert all(space.check(width) is width for width in drawn)
    assert drawn == [space.sample(random.Random(seed)) for seed in range(50)]
    assert len(set(drawn)) > 5
    assert space.check(space.small).encoder == (LISTED.encoder[0] if space is LISTED else 0.3,) * 2
    assert space.named('full') == space.full == WidthConfig.uniform(1.0, 2, ['edge', 'semseg'])


def test_what_is_not_allowed():
    with pytest.raises(WidthError, match=r'0.3 is not among the encoder ratios .*: 0.25, 0.5, 1'):
        LISTED.check(WidthConfig((0.3, 1.0), dict(semseg=1.0, edge=1.0)))
    with pytest.raises(WidthError, match=r'0.2 is not among the encoder ratios .*: 0.3 to 1'):
        ANY.named(dict(encoder=[0.2, 1.0], decoder=dict(semseg=1.0)))
    with pytest.raises(WidthError, match='2 stages; the width has 1'):
        LISTED.check(WidthConfig.full(1, ['semseg']))
    with pytest.raises(WidthError, match='names depth; the tasks are semseg, edge'):
        LISTED.check(WidthConfig.full(2, ['depth']))
    with pytest.raises(WidthError, match='must hold 1'):
        WidthSpace(2, ['semseg'], encoder=[0.5])


@given(RATIOS, RATIOS, st.integers(1, 300), st.sampled_from([1, 8]))
def test_rounding(low, high, size, multiple):
    low, high = sorted((low, high))
    group = WidthGroup(0, 'units', size, multiple)
    lengths = [group.length_at(ratio) for ratio in (low, high, 1.0)]
    assert lengths == sorted(lengths)
    assert lengths[-1] == size
    assert all(1 <= n <= size and (n % multiple == 0 or n == size) for n in lengths)
    assert abs(lengths[0] - low * size) <= multiple or lengths[0] == min(size, multiple)
