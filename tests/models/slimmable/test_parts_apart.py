"""Networks of which one part slims and the other does not, and norms in a backbone that slims."""

import pytest
import torch
from torch import nn

from mtl.models.accounting import count_macs
from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.materialize import materialize
from mtl.models.slimmable.width import WidthError
from mtl.protocols import Backbone, Slimmable
from mtl.registry import MODELS
from mtl.search.cost_table import CostTable
from mtl.structures import Level, PyramidFeatures

TASKS = dict(normals=dict(type='SurfaceNormals'), saliency=dict(type='Saliency'))
IMAGES = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(5))
HRNET = dict(type='HRNetDecoder', level_channels=(4,), out_channels=16)
FCN = dict(type='MMSegDecoder', head=dict(type='mmseg.FCNHead', channels=8, num_convs=1, in_index=0))


class ThreeLayers(Backbone):
    """One level: convolution, BatchNorm, convolution."""

    def __init__(self, tasks=(), hidden=16, pretrained=None):
        super().__init__()
        self.channels, self.strides, self.size_divisor = (8,), (4,), 4
        self.first, self.second = nn.Conv2d(3, hidden, 4, 4), nn.Conv2d(hidden, 8, 1)
        self.norm = nn.BatchNorm2d(hidden)

    def forward(self, x, tasks=None):
        return PyramidFeatures((Level(self.second(self.norm(self.first(x)).relu())[None]),), self.strides)


class SlimThreeLayers(ThreeLayers, Slimmable):
    """Its hidden channels slim."""

    def width_table(self, multiple=8):
        table, hidden = WidthTable(), Units(WidthGroup(0, 'hidden', self.first.out_channels, multiple))
        table.add_linear('first', self.first, out=hidden)
        table.add_norm('norm', self.norm, hidden)
        table.add_linear('second', self.second, into=hidden)
        return table

    def width_options(self, width, multiple=8):
        return dict(hidden=WidthGroup(0, 'hidden', self.first.out_channels, multiple).length(width))


PAIRS = [(SlimThreeLayers, HRNET), (SlimThreeLayers, FCN), (ThreeLayers, HRNET), (ThreeLayers, FCN)]


def build(backbone, decoder, slimming):
    """The model and its config; a part has one width unless ``slimming`` says otherwise."""
    slimming = {'encoder': (1.0,), 'decoder': (1.0,), 'multiple': 2, **slimming}
    options = dict(type='MultiTaskModel', tasks=TASKS, backbone=dict(type=backbone), decoder=decoder, slimming=slimming)
    torch.manual_seed(0)
    model = MODELS.build(options)
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.add_(torch.rand_like(value))  # statistics of each width are others
    return model.eval(), options


@pytest.mark.parametrize(('backbone', 'decoder'), PAIRS)
def test_the_part_that_slims_has_its_widths(backbone, decoder):
    several = {}
    if backbone is SlimThreeLayers:
        several['encoder'] = (0.5, 1.0)
    if decoder is HRNET:
        several['decoder'] = (0.25, 0.5, 1.0)
    model, options = build(backbone, decoder, several)
    assert model.space.encoder == several.get('encoder', (1.0,))
    assert model.space.decoder == several.get('decoder', (1.0,))
    costs = CostTable(model, IMAGES.shape[-2:])
    for width in (model.space.small, model.space.full):
        small_options, state = materialize(model, options, width)
        small = MODELS.build(small_options).eval()
        small.load_state_dict(state)
        with torch.no_grad(), model.at_width(width):
            expected = model.logits(IMAGES)
        with torch.no_grad():
            found = small.logits(IMAGES)
        for task, values in expected.items():
            torch.testing.assert_close(found[task], values, rtol=1e-5, atol=1e-5)
        assert costs.of(width)['macs'] == count_macs(small, *IMAGES.shape[-2:])
        assert costs.of(width)['parameters'] == sum(p.numel() for p in small.parameters())


@pytest.mark.parametrize(
    ('backbone', 'decoder', 'ratios', 'kind'),
    [(ThreeLayers, HRNET, 'encoder', 'ThreeLayers'), (SlimThreeLayers, FCN, 'decoder', 'MMSegDecoder')],
)
def test_the_other_has_none(backbone, decoder, ratios, kind):
    with pytest.raises(WidthError, match=rf'{kind} does not say what slims .*slimming\.{ratios}=\(1\.0,\)'):
        build(backbone, decoder, {ratios: (0.5, 1.0)})


def test_norms_of_the_backbone_have_statistics_of_its_ratios():
    model, _ = build(SlimThreeLayers, HRNET, dict(encoder=(0.25, 0.5, 1.0)))
    assert set(model.backbone.norm.statistics) == {'4', '8'}
    assert not model.decoder.decoders['normals'].norm.statistics
    with pytest.raises(WidthError, match=r'backbone\.norm is a BatchNorm.*list the encoder ratios'):
        build(SlimThreeLayers, HRNET, dict(encoder=0.25))
