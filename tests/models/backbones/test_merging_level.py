import pytest
import timm
import torch

from mtl.models.adapters import task_streams
from mtl.models.backbones import Level
from mtl.models.backbones.merging_level import MergingLevel, norm_and_project

TASKS = ('a', 'b', 'c')


def make_level():
    torch.manual_seed(0)
    merging = timm.models.swin_transformer.PatchMerging(dim=3).double()
    torch.nn.init.normal_(merging.norm.weight)
    torch.nn.init.normal_(merging.norm.bias)
    own = torch.randn(3, 2, 8, 6, 3, dtype=torch.double, requires_grad=True)
    shared = torch.randn(2, 6, 4, 3, dtype=torch.double)
    return MergingLevel(shared, own, TASKS, merging)


def test_features_are_merged():
    level = make_level()
    assert level.streams == ('shared', *TASKS)
    torch.testing.assert_close(level.of('shared'), level.shared)
    torch.testing.assert_close(level.of('unknown'), level.shared)
    for index, task in enumerate(TASKS):
        torch.testing.assert_close(level.of(task), level.merging(level.own[index]).permute(0, 3, 1, 2))


@pytest.mark.parametrize('tasks', [TASKS, ('c', 'a'), ('b', 'other')])
@pytest.mark.parametrize('chunk', [1, 10**6])
def test_projected_is_a_map_of_the_features(monkeypatch, tasks, chunk):
    monkeypatch.setitem(task_streams.CHUNK, 'cpu', chunk)
    level = make_level()
    weights = torch.randn(len(tasks), 2, 6, dtype=torch.double, requires_grad=True)
    inputs = [weights, level.own, *level.merging.parameters()]
    composed = level.projected(tasks, weights)
    plain = Level(level.features, level.streams).projected(tasks, weights)
    expected = torch.stack([(level.of(t).permute(0, 2, 3, 1) @ w.T) for t, w in zip(tasks, weights, strict=True)])
    torch.testing.assert_close(plain, expected)
    torch.testing.assert_close(composed, expected)
    scale = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad((composed * scale).sum(), inputs, retain_graph=True),
        torch.autograd.grad((expected * scale).sum(), inputs),
    )


def test_one_stream_for_all_tasks():
    level = Level(torch.randn(1, 2, 6, 4, 3))
    weights = torch.randn(3, 5, 6)
    expected = torch.stack([level.of('a').permute(0, 2, 3, 1) @ weight.T for weight in weights])
    torch.testing.assert_close(level.projected(TASKS, weights), expected)


def test_keeps_the_unmerged_streams_only():
    level, saved = make_level(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        norm_and_project(level.own, level.merging.norm, torch.randn(3, 2, 12, dtype=torch.double))
    assert sum(tensor.numel() for tensor in saved if tensor.numel() > 100) == level.own.numel()
