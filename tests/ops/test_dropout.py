import pytest
import torch

from mtl.models.adapters.mtlora import Dropout
from mtl.ops.dropout import bernoulli_positions, draw_dropped


@pytest.mark.parametrize('p', [0.05, 0.5, 0.9])
def test_positions_are_a_bernoulli_process(p):
    torch.manual_seed(0)
    size = 100_000
    positions = bernoulli_positions(size, p)
    assert (positions.diff() > 0).all()
    assert positions[0] >= 0
    assert positions[-1] < size
    hits = torch.zeros(size)
    hits[positions] = 1
    deviation = (p * (1 - p) / size) ** 0.5
    assert abs(hits.mean() - p) < 5 * deviation
    # independent of the neighbour, and of the one after it
    for lag in (1, 2):
        both = (hits[lag:] * hits[:-lag]).mean()
        assert abs(both - p * p) < 5 * (p * p * (1 - p * p) / size) ** 0.5 * 1.5


def test_first_and_last_entry_are_hit_as_often_as_any():
    torch.manual_seed(0)
    counts = torch.zeros(5)
    for _ in range(4000):
        counts[bernoulli_positions(5, 0.3)] += 1
    assert ((counts / 4000 - 0.3).abs() < 5 * (0.21 / 4000) ** 0.5).all()


def test_hides_and_scales():
    x = torch.randn(30, 40)
    dropped = draw_dropped(x.shape, 0.2, x.device)
    hit = dropped.apply(x)
    kept = hit != 0
    torch.testing.assert_close(hit[kept], x[kept] / 0.8)
    assert (~kept).sum() == len(dropped.where)


def test_module_follows_the_seed_and_the_mode():
    layer, x = Dropout(0.3), torch.randn(20, 20, requires_grad=True)
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        results.append(layer(x))
    assert torch.equal(*results)
    assert not torch.equal(layer(x), results[0])
    results[0].sum().backward()
    torch.testing.assert_close(x.grad, (results[0] != 0) / 0.7)
    assert layer.eval()(x) is x or torch.equal(layer(x), x)
