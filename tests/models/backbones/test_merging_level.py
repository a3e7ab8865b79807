import pytest
import timm
import torch

from mtl.models.backbones.swin.merging_level import MergingLevel
from mtl.models.dense import Linear
from mtl.models.neck import project
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.protocols import Projection
from mtl.structures import Level

TASKS = ('a', 'b', 'c')


def projected(level, tasks, weights):
    return project(level, {'all': Projection(tasks, weights)})['all']


def make_level(rank=0, common=3):
    torch.manual_seed(0)

    def make(*size):
        return torch.randn(size, dtype=torch.double, requires_grad=True)

    merging = timm.models.swin_transformer.PatchMerging(dim=3).double()
    merging.reduction = Linear(merging.reduction)
    torch.nn.init.normal_(merging.norm.weight)
    torch.nn.init.normal_(merging.norm.bias)
    own = LowRankStreams(make(common, 2, 8, 6, 3), make(3, 2, 8, 6, rank), make(3, rank, 3))
    shared = torch.randn(2, 6, 4, 3, dtype=torch.double)
    return MergingLevel(shared, own, TASKS, merging)


def test_features_are_merged():
    level = make_level()
    assert level.streams == ('shared', *TASKS)
    torch.testing.assert_close(level.of('shared'), level.shared)
    torch.testing.assert_close(level.of('unknown'), level.shared)
    for index, task in enumerate(TASKS):
        torch.testing.assert_close(level.of(task), level.merging(level.own.dense()[index]).permute(0, 3, 1, 2))


@pytest.mark.parametrize('tasks', [TASKS, ('c', 'a'), ('b', 'other')])
@pytest.mark.parametrize(('rank', 'common'), [(0, 3), (2, 3), (2, 1)])
def test_projected_is_a_map_of_the_features(tasks, rank, common):
    level = make_level(rank, common)
    weights = torch.randn(len(tasks), 2, 6, dtype=torch.double, requires_grad=True)
    inputs = [weights, *(tensor for tensor in level.own if tensor.numel()), *level.merging.parameters()]
    composed = projected(level, tasks, weights)
    plain = projected(Level(level.features, level.streams), tasks, weights)
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
    torch.testing.assert_close(projected(level, TASKS, weights), expected)


def kept(level, n_out):
    """Numbers of each tensor that projecting keeps for the backward pass, by storage."""
    storages = {}

    def pack(tensor):
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        projected(level, TASKS, torch.randn(3, n_out, 6, dtype=torch.double))
    return [tensor.untyped_storage().nbytes() // tensor.element_size() for tensor in storages.values()]


def test_keeps_the_unmerged_streams_only():
    level = make_level()
    assert sum(count for count in kept(level, 2) if count > 150) == level.own.common.numel()


def test_keeps_nothing_as_wide_as_streams_of_low_rank():
    level = make_level(rank=1, common=1)
    assert max(kept(level, 1)) < level.own.dense().numel()
