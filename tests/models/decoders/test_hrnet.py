import pytest
import torch
import torch.nn.functional as F

from mtl.models.decoders import HRNetDecoder
from mtl.models.neck import neck
from mtl.structures import Level, PyramidFeatures

CHANNELS = (6, 8, 10, 10)
SIZES = ((12, 16), (6, 8), (3, 4), (3, 4))


@pytest.fixture
def features():
    torch.manual_seed(0)
    levels = tuple(
        Level(torch.randn(3, 2, c, *size, dtype=torch.double), ('shared', 'semseg', 'edge'))
        for c, size in zip(CHANNELS, SIZES, strict=True)
    )
    return PyramidFeatures(levels, (8, 16, 32, 32))


def maps_of(decoder, features, tasks):
    return decoder(neck(features, decoder, tasks), tasks).maps


def test_equals_upsample_then_concatenate_then_convolve(features):
    decoder = HRNetDecoder(CHANNELS, ('semseg', 'edge'), level_channels=(2, 3, 4, 5), out_channels=7).double().train()
    maps = maps_of(decoder, features, ('edge',))
    part = decoder.decoders['edge']
    upsampled = [
        F.interpolate(projection(level.features[2]), size=SIZES[0], mode='bilinear', align_corners=False)
        for projection, level in zip(part.projections, features.levels, strict=True)
    ]
    expected = F.relu(F.batch_norm(part.fuse(torch.cat(upsampled, 1)), None, None, training=True))
    torch.testing.assert_close(maps['edge'], expected)
    assert list(maps) == ['edge']


def test_parameters_of_the_paper():
    """Decoders and heads of Swin-T with 21 + 7 + 1 + 3 channels have 1,946,624."""
    decoder = HRNetDecoder((192, 384, 768, 768), ('semseg', 'human_parts', 'saliency', 'normals'))
    heads = sum(channels * c + c for channels, c in zip(decoder.out_channels.values(), (21, 7, 1, 3), strict=True))
    assert sum(parameter.numel() for parameter in decoder.parameters()) + heads == 1_946_624


def test_a_map_is_made_when_asked_for(features):
    decoder = HRNetDecoder(CHANNELS, ('semseg', 'edge'), level_channels=(2, 3, 4, 5), out_channels=7).double()
    made = []
    for task, part in decoder.decoders.items():
        part.register_forward_hook(lambda *_, task=task: made.append(task))
    maps = decoder.each_map(neck(features, decoder, ('edge', 'semseg')), ('edge', 'semseg'))
    expected = maps_of(decoder, features, ('edge', 'semseg'))
    made.clear()
    for count, (task, values) in enumerate(maps, 1):
        assert made == ['edge', 'semseg'][:count]
        torch.testing.assert_close(values, expected[task])


def test_without_gradients_the_numbers_are_the_same(features):
    decoder = HRNetDecoder(CHANNELS, ('semseg',), level_channels=(2, 3, 4, 70), out_channels=7).double().eval()
    torch.nn.init.uniform_(decoder.decoders['semseg'].norm.running_mean)
    with_gradients = maps_of(decoder, features, ('semseg',))['semseg']
    with torch.no_grad():
        torch.testing.assert_close(maps_of(decoder, features, ('semseg',))['semseg'], with_gradients)
