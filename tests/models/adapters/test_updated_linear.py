"""An adapter that says what its update is, and nothing more, against products written out."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl.models.adapters import Placement, TaskLinear, UpdatedLinear, fold_adapters, merge_adapters, unmerge_adapters
from mtl.models.slimmable.axes import Units, WidthTable, at_width
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig
from mtl.ops.streams import Streams

TASKS = ('semseg', 'normals')


class Added(UpdatedLinear):
    """A full matrix is added, the shared one or that of a task."""

    def __init__(self, base, tasks):
        super().__init__(base)
        self.shared = nn.Parameter(torch.randn_like(base.weight))
        self.tasks = nn.ParameterDict({task: nn.Parameter(torch.randn_like(base.weight)) for task in tasks})

    def delta_weight(self, task=None):
        return self.shared if task is None else self.tasks[task]

    def adapter_parameters(self):
        return [self.shared, *self.tasks.values()]

    def slim_axes(self, out, into):
        names = ['shared', *(f'tasks.{task}' for task in self.tasks)]
        return super().slim_axes(out, into) | {name: {0: out, 1: into} for name in names}


class Everywhere(Placement):
    """:class:`Added` in the place of every layer of a transformer's blocks."""

    targets, wants_streams = ('qkv', 'proj', 'fc1', 'fc2'), True

    def adapt(self, layer, target, stage, tasks=(), last=False):
        return Added(layer, tasks) if target in self.targets else layer


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Added(nn.Linear(6, 5), TASKS).eval()


def expected(layer, streams, tasks):
    """Each stream through its own matrix: the shared one first, then those of ``tasks``."""
    updates = [layer.shared, *(layer.tasks.get(task, layer.shared) for task in tasks)]
    own = streams if len(streams) > 1 else streams.expand(1 + len(tasks), -1, -1)
    weights = [layer.base_weight + update for update in updates]
    return torch.stack([F.linear(x, weight, layer.bias) for x, weight in zip(own, weights, strict=True)])


@pytest.mark.parametrize('gelu', [False, True])
@pytest.mark.parametrize('count', [1, 3], ids=['streams begin', 'streams go on'])
@pytest.mark.parametrize('merged', [None, 'shared', 'normals'])
def test_every_stream_has_its_weight(layer, merged, count, gelu):
    streams = torch.randn(count, 7, 6)
    wanted = expected(layer, streams, TASKS)
    wanted = F.gelu(wanted) if gelu else wanted
    if merged:
        layer.merge(None if merged == 'shared' else merged)
    torch.testing.assert_close(layer(Streams.split(streams), TASKS, gelu=gelu).stacked(), wanted)
    torch.testing.assert_close(layer(Streams.split(streams), TASKS, False, gelu).stacked(), wanted[1:])


def test_others_read_what_is_shared(layer):
    x = torch.randn(7, 6)
    plain = F.linear(x, layer.weight + layer.shared, layer.bias)
    torch.testing.assert_close(layer(x), plain)
    torch.testing.assert_close(layer(Streams(x), ('saliency',)).stacked(), plain[None])
    streams = torch.randn(3, 7, 6)
    found = layer(Streams.split(streams), ('saliency', 'normals')).stacked()
    torch.testing.assert_close(found, expected(layer, streams, ('saliency', 'normals')))


def test_a_tensor_meets_what_is_merged(layer):
    x = torch.randn(7, 6)
    wanted = F.linear(x, layer.weight + layer.tasks['normals'], layer.bias)
    weight = layer.weight.detach().clone()
    layer.merge('normals')
    torch.testing.assert_close(layer(x), wanted)
    layer.unmerge()
    assert torch.equal(layer.weight, weight)


@pytest.mark.parametrize('tasks', [(), ('normals',), TASKS])
def test_it_folds_into_plain_layers(layer, tasks):
    streams = torch.randn(3, 7, 6)
    wanted = expected(layer, streams, TASKS)[[0, *(1 + TASKS.index(task) for task in tasks)]]
    plain = layer.folded(tasks)
    assert type(plain).__name__ == ('TaskLinear' if tasks else 'Linear')
    assert not hasattr(plain, 'shared')
    if tasks:
        kept = Streams.split(streams[[0, *(1 + TASKS.index(task) for task in tasks)]])
        torch.testing.assert_close(plain(kept, tasks).stacked(), wanted)
    else:
        torch.testing.assert_close(plain(streams[0]), wanted[0])


@pytest.mark.parametrize('merged', [False, True])
def test_prefixes_run_at_a_width(layer, merged):
    table = WidthTable()
    out, into = (Units(WidthGroup(0, name, size)) for name, size in (('out', 5), ('in', 6)))
    holder = nn.ModuleDict(dict(layer=layer))
    if merged:
        layer.merge('semseg')
    table.add_linear('layer', layer, out, into)
    streams = torch.randn(3, 7, 3)
    with torch.no_grad():
        small = Added(nn.Linear(3, 3), TASKS)
        small.weight, small.bias = nn.Parameter(layer.base_weight[:3, :3]), nn.Parameter(layer.bias[:3])
        small.shared = nn.Parameter(layer.shared[:3, :3])
        small.tasks = nn.ParameterDict({task: weight[:3, :3] for task, weight in layer.tasks.items()})
    with at_width(holder, table, WidthConfig((0.5,), dict(semseg=1.0))):
        torch.testing.assert_close(
            layer(Streams.split(streams), TASKS).stacked(), small(Streams.split(streams), TASKS).stacked()
        )


def test_in_a_network(micro_model):
    """Merged for each task, folded for all: the outputs stay; without a task, nothing of another one runs."""
    model = micro_model(adapters=Everywhere()).eval()
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        wanted = model(image)
        alone = model(image, tasks=['normals'])
        torch.testing.assert_close(alone['normals'], wanted['normals'])
        for task in model.tasks:
            assert not merge_adapters(model, task).kept
            torch.testing.assert_close(model(image, tasks=[task])[task], wanted[task], rtol=1e-3, atol=1e-3)
            unmerge_adapters(model)
        assert fold_adapters(model.backbone, model.tasks) == {}
        assert any(isinstance(layer, TaskLinear) for layer in model.modules())
        torch.testing.assert_close(model(image), wanted, rtol=1e-3, atol=1e-3)
