"""What decoders receive: plain tensors, whatever form the backbone keeps its streams in."""

import torch

from mtl.models.neck import neck
from mtl.protocols import Decoder, DecoderOutput, Projection
from mtl.structures import Level, PyramidFeatures

ADAPTERS = dict(rank=3, task_rank=dict(semseg=2, normals=0), dropout=0.0)


class Plain(Decoder):
    def forward(self, features, tasks):
        return DecoderOutput({task: features.of(task)[0] for task in tasks})


class Projecting(Plain):
    def __init__(self, channels):
        super().__init__()
        self.weights = [torch.randn(2, c) for c in channels]

    def wants(self, own, tasks):
        self.own = own
        return [{task: Projection((task,), weight[None]) for task in tasks} for weight in self.weights]


def test_levels_as_they_are(micro_backbone):
    features = micro_backbone(adapters=ADAPTERS)(torch.randn(2, 3, 64, 48))
    given = neck(features, Plain(), ('semseg', 'normals'))
    assert given.own == (frozenset({'semseg'}),) * 2
    for task in ('semseg', 'normals'):
        torch.testing.assert_close(given.of(task), features.of(task), rtol=0, atol=0)
    assert 'shared' not in given.levels[0]
    reads_shared = Plain()
    reads_shared.reads_shared = True
    torch.testing.assert_close(neck(features, reads_shared, ('semseg',)).of('shared'), features.of('shared'))


def test_projected_levels(micro_backbone):
    """On few and on many pixels: patch merging is composed with the projection on the latter only."""
    backbone = micro_backbone(adapters=ADAPTERS).double()
    decoder = Projecting(backbone.channels)
    decoder.weights = [weight.double() for weight in decoder.weights]
    for size in ((8, 8), (64, 48)):
        features = backbone(torch.randn(1, 3, *size).double())
        given = neck(features, decoder, ('normals', 'semseg'))
        assert decoder.own == given.own
        for task in ('semseg', 'normals'):
            expected = [
                torch.einsum('oc,bchw->bhwo', weight, level)[None]
                for weight, level in zip(decoder.weights, features.of(task), strict=True)
            ]
            torch.testing.assert_close(given.of(task), expected)


def test_one_stream_is_projected_once_for_all():
    level = Level(torch.randn(1, 2, 6, 4, 3))

    class Stacked(Plain):
        def wants(self, own, tasks):
            return [{'all': Projection(tasks, weights)}]

    weights = torch.randn(3, 5, 6)
    (found,) = neck(PyramidFeatures((level,), (8,)), Stacked(), ('a', 'b', 'c')).of('all')
    torch.testing.assert_close(found, torch.einsum('toc,bchw->tbhwo', weights, level.features[0]))
