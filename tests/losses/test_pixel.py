import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.losses import balanced_binary_cross_entropy, cross_entropy, masked_l1, normals_l1, unit_vectors
from mtl.tasks import Boundary, Depth, PartSegmentation, Saliency, SemanticSegmentation, SurfaceNormals

TASKS = [
    SemanticSegmentation(classes=['a', 'b', 'c']),
    PartSegmentation(),
    Saliency(),
    Boundary(),
    SurfaceNormals(),
    Depth(),
]


def unknown_label(task, batch):
    shape = (batch, 3, 4, 5) if isinstance(task, SurfaceNormals) else (batch, 4, 5)
    dtype = torch.uint8 if task.ignore_value == 255 else torch.float32
    return torch.full(shape, task.ignore_value, dtype=dtype)


@pytest.mark.parametrize('task', TASKS, ids=lambda task: type(task).__name__)
@pytest.mark.parametrize('batch', [0, 2])
def test_no_valid_pixel_is_an_exact_zero_with_a_graph(task, batch):
    logits = torch.randn(batch, task.out_channels, 4, 5, requires_grad=True)
    loss = task.loss(logits, unknown_label(task, batch))
    assert loss.item() == 0.0
    loss.backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_cross_entropy_by_hand():
    logits = torch.randn(2, 3, 4, 5, dtype=torch.double)
    target = torch.randint(0, 3, (2, 4, 5), dtype=torch.uint8)
    target[0, :2] = 255
    total, count = 0.0, 0
    for b in range(2):
        for i in range(4):
            for j in range(5):
                if target[b, i, j] != 255:
                    scores = logits[b, :, i, j].exp()
                    total -= math.log(scores[target[b, i, j].item()] / scores.sum())
                    count += 1
    assert cross_entropy(logits, target).item() == pytest.approx(total / count, rel=1e-6)


@pytest.mark.parametrize('pos_weight', [None, 0.95])
def test_balanced_cross_entropy_by_hand(pos_weight):
    logits = torch.randn(2, 1, 4, 5)
    target = (torch.rand(2, 4, 5) < 0.3).byte()
    target[1, 0] = 255
    rows = [(z, y) for z, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True) if y != 255]
    negatives = sum(y == 0 for _, y in rows)
    w = negatives / len(rows) if pos_weight is None else pos_weight
    positive_sum = sum(math.log1p(math.exp(-z)) for z, y in rows if y == 1)
    negative_sum = sum(math.log1p(math.exp(z)) for z, y in rows if y == 0)
    expected = (w * positive_sum + (1 - w) * negative_sum) / len(rows)
    assert balanced_binary_cross_entropy(logits, target, pos_weight).item() == pytest.approx(expected, rel=1e-5)


def test_normals_compare_unit_vectors_on_valid_pixels():
    logits = torch.randn(1, 3, 2, 2) * 7
    target = F.normalize(torch.randn(1, 3, 2, 2), dim=1)
    target[..., 1, 1] = 0
    errors = [
        (logits[0, :, i, j] / logits[0, :, i, j].norm() - target[0, :, i, j]).abs().sum().item() / 3
        for i, j in ((0, 0), (0, 1), (1, 0))
    ]
    assert normals_l1(logits, target).item() == pytest.approx(sum(errors) / 3, rel=1e-5)


def test_depth_ignores_what_is_not_finite():
    target = torch.tensor([[[1.0, 0.0], [math.inf, math.nan]]])
    logits = torch.tensor([[[[3.0, 9.0], [9.0, 9.0]]]], requires_grad=True)
    loss = Depth().loss(logits, target)
    loss.backward()
    assert loss.item() == 2.0
    assert logits.grad.flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


@given(split=st.integers(1, 5), seed=st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_sums_over_parts_of_a_batch_make_the_whole(split, seed):
    """What distributed training relies on: loss = sum over processes of (sum of pixel losses) / (count of all)."""
    torch.manual_seed(seed)
    prediction, target = torch.randn(6, 3, 3).double(), torch.randn(6, 3, 3).double()
    valid = torch.rand(6, 3, 3) < 0.5
    parts = [masked_l1(prediction[a], target[a], valid[a]) * valid[a].sum() for a in (slice(0, split), slice(split, 6))]
    whole = masked_l1(prediction, target, valid)
    torch.testing.assert_close(sum(parts) / valid.sum().clamp(min=1), whole, check_dtype=False)


@pytest.mark.parametrize('dim', [0, 1])
def test_unit_vectors(dim):
    """The numbers and gradients of torch's own, also for vectors of (almost) no length."""
    torch.manual_seed(0)
    x = torch.randn(3, 3, dtype=torch.double)
    x.select(1 - dim, 0).zero_()
    x.select(1 - dim, 1).mul_(1e-9)
    x.requires_grad_()
    ours, torchs = unit_vectors(x, dim), F.normalize(x, dim=dim, eps=1e-6)
    torch.testing.assert_close(ours, torchs)
    weight = torch.randn(3, 3, dtype=torch.double)
    (gradient,), (expected,) = (torch.autograd.grad((y * weight).sum(), x) for y in (ours, torchs))
    torch.testing.assert_close(gradient, expected)
