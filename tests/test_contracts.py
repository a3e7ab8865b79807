"""A part that does not answer what its contract asks is refused when it is built, by the name of the answer."""

import pytest
import torch
from torch import nn

from mtl.datasets import MultiTaskDataset
from mtl.evaluation import AdditiveMetric
from mtl.losses import FixedWeighting, LossWeighting
from mtl.models.adapters import Mergeable, Placement, UpdatedLinear, inject
from mtl.protocols import AdaptableLayer, AdapterLayer, Backbone, ContractError, Decoder, DecoderOutput, Slimmable
from mtl.registry import MODELS
from mtl.structures import Level, PyramidFeatures
from mtl.tasks import Task

TASKS = dict(normals=dict(type='SurfaceNormals'))


@pytest.mark.parametrize(
    ('contract', 'answers'),
    [
        (Backbone, {'forward'}),
        (Decoder, {'forward'}),
        (AdapterLayer, {'adapter_parameters', 'slim_axes'}),
        (Mergeable, {'adapter_parameters', 'slim_axes', 'delta_weight'}),
        (UpdatedLinear, {'adapter_parameters', 'slim_axes', 'delta_weight'}),
        (Placement, {'adapt'}),
        (Slimmable, {'width_table', 'width_options'}),
        (LossWeighting, {'forward'}),
        (Task, {'loss', 'predict', 'draw', 'metric'}),
        (AdditiveMetric, {'zeros', 'count', 'summarize', 'best_constant'}),
        (MultiTaskDataset, {'readers', 'image_path', 'label_files'}),
    ],
)
def test_every_answer_that_is_missing_is_named(contract, answers):
    assert contract.__abstractmethods__ == answers
    for missing in answers:
        others = dict.fromkeys(answers - {missing}, FixedWeighting.__call__)
        part = type('Part', (contract,), others)
        with pytest.raises(
            TypeError, match=f'abstract class Part with(out an implementation for)? abstract.*{missing}'
        ):
            part()


class OneLevel(Backbone):
    """The image as a level, and whatever else a test wants."""

    def __init__(self, tasks=(), adapters=None, lacks=''):
        super().__init__()
        sizes = dict(channels=(3,), strides=(1,), size_divisor=1)
        vars(self).update({name: size for name, size in sizes.items() if name != lacks})
        self.fc1 = nn.Linear(3, 3)
        inject(self, adapters, tasks)

    def adaptable_layers(self):
        yield AdaptableLayer(self, 'fc1', 'fc1', 0)

    def forward(self, x, tasks=None):
        return PyramidFeatures((Level(self.fc1(x.movedim(1, -1)).movedim(-1, 1)[None]),), self.strides)


class FirstLevel(Decoder):
    """The finest level as the map of each task."""

    def __init__(self, in_channels, tasks):
        super().__init__()
        self.out_channels = dict.fromkeys(tasks, in_channels[0])

    def forward(self, features, tasks):
        return DecoderOutput({task: features.of(task)[0] for task in tasks})


class Everywhere(Placement):
    """Adapters of any kind on `fc1`."""

    targets = ('fc1',)

    def __init__(self, kind):
        self.kind = kind

    def adapt(self, layer, target, stage, tasks=(), last=False):
        return self.kind(3, 3)


class NoTasks(AdapterLayer, nn.Linear):
    """Adapters that do not say of which tasks."""

    def adapter_parameters(self):
        return []

    def slim_axes(self, out, into):
        return {}


def build(decoder=FirstLevel, lacks='', **options):
    backbone = dict(type=OneLevel, lacks=lacks)
    return MODELS.build(
        dict(type='MultiTaskModel', tasks=TASKS, backbone=backbone, decoder=dict(type=decoder), **options)
    )


def test_parts_that_answer_are_taken():
    assert build()(torch.zeros(1, 3, 4, 4))['normals'].shape == (1, 3, 4, 4)


@pytest.mark.parametrize('name', ['channels', 'strides', 'size_divisor'])
def test_backbones_state_their_sizes(name):
    with pytest.raises(ContractError, match=rf'OneLevel is not a Backbone: it lacks `{name}`\. See mtl\.protocols'):
        build(lacks=name)


def test_parts_derive_from_their_contract():
    class Decodes(nn.Module):
        reads_shared = False

        def __init__(self, in_channels, tasks):
            super().__init__()
            self.out_channels = dict.fromkeys(tasks, in_channels[0])

        def forward(self, features, tasks):
            return FirstLevel.forward(self, features, tasks)

    with pytest.raises(ContractError, match='Decodes is not a Decoder: it does not derive from it'):
        build(decoder=Decodes)
    with pytest.raises(ContractError, match=r'it does not derive from it\. See mtl\.losses\.weighting\.LossWeighting'):
        build(loss_weighting=dict(type=type('Sum', (nn.Module,), dict(__init__=lambda self, tasks: None))))


def test_decoders_state_their_channels():
    class Silent(FirstLevel):
        def __init__(self, in_channels, tasks):
            nn.Module.__init__(self)

    with pytest.raises(ContractError, match='Silent is not a Decoder: it lacks `out_channels`'):
        build(decoder=Silent)


def test_placements_give_layers_with_adapters():
    with pytest.raises(ContractError, match=r'Everywhere put a Linear in the place of a fc1 .*`adapter_parameters`'):
        OneLevel(adapters=Everywhere(nn.Linear))
    with pytest.raises(ContractError, match='NoTasks is not a SlimLayer: it lacks `tasks`'):
        OneLevel(adapters=Everywhere(NoTasks))
    with pytest.raises(ContractError, match='Aimless is not a Placement: it lacks `targets`'):
        OneLevel(adapters=type('Aimless', (Placement,), dict(adapt=Everywhere.adapt))())
