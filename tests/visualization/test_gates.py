"""Pictures of gates: the right gate in the right place, one scale for all."""

import numpy as np
import pytest
import torch

from mtl.protocols import DecoderOutput
from mtl.visualization import draw_gates, gate_maps
from mtl.visualization import gates as module

TASKS, LEVELS, CHOICES, SIZE = ('semseg', 'edge', 'depth'), 4, 6, (12, 18)


@pytest.fixture
def gates():
    torch.manual_seed(0)
    return torch.randn(len(TASKS), LEVELS, CHOICES, *SIZE).softmax(2)


def test_gates_of_one_image_of_a_batch():
    levels = tuple(torch.rand(3, 2, 5, 7, 4) for _ in range(2))  # [T, B, H, W, N] a level
    maps = gate_maps(DecoderOutput({}, gates=levels), index=1)
    assert maps.shape == (3, 2, 4, 5, 7)
    for t, level, n, y, x in np.ndindex(*maps.shape):
        assert maps[t, level, n, y, x] == levels[level][t, 1, y, x, n]
    with pytest.raises(ValueError, match='no gates'):
        gate_maps(DecoderOutput({}))


def test_coarse_levels_are_drawn_at_the_size_of_the_finest():
    fine, coarse = torch.rand(3, 2, 4, 6, 5).softmax(-1), torch.rand(3, 2, 2, 3, 5).softmax(-1)
    maps = gate_maps(DecoderOutput({}, gates=(fine, coarse)))
    assert maps.shape == (3, 2, 5, 4, 6)
    torch.testing.assert_close(maps[:, 0], fine[:, 0].movedim(-1, 1))
    torch.testing.assert_close(maps[:, 1].sum(1), torch.ones(3, 4, 6))
    torch.testing.assert_close(maps[:, 1, :, 0, 0], coarse[:, 0, 0, 0])


def test_every_gate_is_drawn_once_with_its_mean_and_one_scale(gates, monkeypatch):
    drawn, words = [], []
    original, original_line = module._picture, module.line
    monkeypatch.setattr(module, '_picture', lambda *args: drawn.append(args) or original(*args))
    monkeypatch.setattr(module, 'line', lambda text, width: words.append(text) or original_line(text, width))
    monkeypatch.setattr(module, 'write', lambda canvas, text, origin: words.append(text))
    panel = draw_gates(gates, TASKS, height=SIZE[0])
    assert panel.dtype == np.uint8
    assert len(drawn) == len(TASKS) * LEVELS * CHOICES
    assert {largest for _, largest, _ in drawn} == {float(gates.max())}
    order = [(level, n, t) for level in range(LEVELS) for n in range(CHOICES) for t in range(len(TASKS))]
    for (values, _, _), (level, n, t) in zip(drawn, order, strict=True):
        assert np.array_equal(values, gates[t, level, n].numpy())
    assert words.count('memory') == LEVELS
    assert words.count('5') == LEVELS
    for text in (*(f'level {level + 1}' for level in range(LEVELS)), *TASKS, f'{gates[1, 2, 3].mean():.2f}'):
        assert text in words


def test_lighter_takes_more():
    gates = torch.stack([torch.full(SIZE, 0.8), torch.full(SIZE, 0.2)])[None, None]  # one task, one level
    panel = draw_gates(gates, ['semseg'], memory=False, height=SIZE[0]).astype(int)
    bright, dark = module._colours(np.array([[255.0, 255 / 4]]))[0].astype(int)
    found = [(panel == colour).all(axis=2).sum() for colour in (bright, dark)]
    assert min(found) >= SIZE[0] * SIZE[1]
    assert bright.sum() > dark.sum()
