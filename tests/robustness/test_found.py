"""What the mutations of test_fuzz.py have found, each as it was found."""

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError
from mtl.datasets.cache import LabelCache
from mtl.evaluation.boundary.files import Truth
from mtl.evaluation.boundary.pool import Protocol
from mtl.evaluation.boundary.recipes import RECIPES
from mtl.files import read_map
from mtl.models.slimmable import WidthConfig
from mtl.search.cache import EvaluationCache


@pytest.mark.parametrize('header', [b"{'descr': '<f4', 'fortran_order': \0", b"{'descr': (", b'not a dict', b''])
def test_a_damaged_header_of_numpy(tmp_path, header):
    """NumPy parses it with Python's parser, which raises SyntaxError and TokenError."""
    path = tmp_path / 'a.npy'
    path.write_bytes(b'\x93NUMPY\x01\x00' + len(header).to_bytes(2, 'little') + header + bytes(32))
    with pytest.raises(ValueError, match='not a complete NumPy array'):
        read_map(path)


def test_counts_of_boundaries_with_a_flipped_bit(tmp_path, monkeypatch):
    monkeypatch.setattr('mtl.evaluation.boundary.pool.print_log', lambda *_: None)
    rng = np.random.default_rng(0)
    strengths, truth = rng.random((12, 15)), Truth([rng.random((12, 15)) > 0.7])
    protocol = Protocol(RECIPES['bsds'], 0.02, (0.3, 0.6), tmp_path)
    expected = protocol.count(strengths, truth)
    (kept,) = tmp_path.iterdir()
    data = bytearray(kept.read_bytes())
    at = data.index(expected.tobytes())
    data[at] ^= 1
    kept.write_bytes(data)
    assert np.array_equal(protocol.count(strengths, truth), expected)


def test_a_cached_label_with_another_content(tmp_path, monkeypatch):
    """Pillow does not compare the checksums of a PNG file."""
    cache = LabelCache(tmp_path, fill=True)
    monkeypatch.setattr('mtl.datasets.cache.print_log', lambda *_: None)
    right = np.zeros((4, 5), np.uint8)
    cache.get('edge', 'a', [], lambda _: right)
    path = cache.path('edge', 'a')
    with Image.open(path) as picture:
        known = picture.info
    text = PngImagePlugin.PngInfo()
    for key in ('state', 'crc'):
        text.add_text(key, known[key])
    Image.fromarray(right + 1).save(path, pnginfo=text)
    assert np.array_equal(cache.get('edge', 'a', [], lambda _: right), right)


def test_a_line_of_the_search_that_is_still_json(tmp_path, monkeypatch):
    monkeypatch.setattr('mtl.search.cache.print_log', lambda *_: None)
    width = WidthConfig.uniform(0.5, 2, ('depth',))
    cache = EvaluationCache(tmp_path, 'x', lambda _: {'depth': 1.0})
    cache(width)
    entry = json.loads(cache.path.read_text())
    for damaged in ({**entry, 'results': {'depth': 3.0}}, {**entry, 'results': {'eepth': 1.0}}, {'width': 1}, [1]):
        cache.path.write_text(json.dumps(damaged) + '\n')
        assert EvaluationCache(tmp_path, 'x', lambda _: {'depth': 1.0})(width) == {'depth': 1.0}


def test_an_option_that_puts_a_dict_where_a_number_was(pytestconfig):
    with pytest.raises(UsageError, match='cannot be merged into the config'):
        read_config(str(pytestconfig.rootpath / 'configs/quickstart.py'), {'param_scheduler.1.T_max': {'a': 1}})
