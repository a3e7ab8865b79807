import subprocess
import sys

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from mtl.models import MultiTaskModel
from mtl.models.decoders import MMSegDecoder
from mtl.registry import MODELS
from mtl.structures import Level, PyramidFeatures

CHANNELS = (6, 8, 10, 12)
SIZES = ((16, 24), (8, 12), (4, 6), (2, 3))
STRIDES = (4, 8, 16, 32)
BN = dict(type='BN')
HEADS = dict(
    fpn=dict(type='mmseg.FPNHead', channels=16, feature_strides=STRIDES, norm_cfg=BN),
    uper=dict(type='mmseg.UPerHead', channels=16, pool_scales=(1, 2), norm_cfg=BN),
    segformer=dict(type='mmseg.SegformerHead', channels=16, norm_cfg=BN),
    fcn=dict(type='mmseg.FCNHead', channels=16, in_index=2, num_convs=1, norm_cfg=BN),
    fcn_concat=dict(type='mmseg.FCNHead', channels=16, input_transform='resize_concat', num_convs=1, norm_cfg=BN),
    aspp=dict(type='mmseg.DepthwiseSeparableASPPHead', channels=16, in_index=3, c1_in_channels=6, c1_channels=4),
    enc=dict(type='mmseg.EncHead', channels=16, in_index=[1, 3], use_se_loss=False),
)


@pytest.fixture(autouse=True)
def scope_of_a_run():
    """Runs look names up in `mtl` first."""
    init_default_scope('mtl')


@pytest.fixture
def features():
    torch.manual_seed(0)
    levels = tuple(
        Level(torch.randn(3, 2, c, *size), ('shared', 'semseg', 'edge'))
        for c, size in zip(CHANNELS, SIZES, strict=True)
    )
    return PyramidFeatures(levels, STRIDES)


@pytest.mark.parametrize('name', HEADS)
def test_the_map_is_what_the_head_would_classify(name, features):
    """Oracle: mmsegmentation's own head with these weights and an identity as its 1x1 classifier."""
    decoder = MMSegDecoder(CHANNELS, ('semseg', 'edge'), head=HEADS[name]).eval()
    maps = decoder(features, ('edge',)).maps
    assert list(maps) == ['edge']
    assert decoder.out_channels == {'semseg': 16, 'edge': 16}
    config = dict(dropout_ratio=0, in_index=[0, 1, 2, 3], in_channels=list(CHANNELS), num_classes=16) | HEADS[name]
    if config['in_index'] != [0, 1, 2, 3]:
        index = config['in_index']
        config['in_channels'] = CHANNELS[index] if isinstance(index, int) else [CHANNELS[i] for i in index]
    head = MODELS.build(dict(config, _scope_='mmseg')).eval()
    with torch.no_grad():
        head.conv_seg.weight.copy_(torch.eye(16)[..., None, None])
        head.conv_seg.bias.zero_()
    left_out, unexpected = head.load_state_dict(decoder.decoders['edge'].state_dict(), strict=False)
    assert set(left_out) == {'conv_seg.weight', 'conv_seg.bias'}
    assert not unexpected
    torch.testing.assert_close(maps['edge'], head(features.of('edge')))


def test_a_head_of_its_own_for_a_task(features):
    fpn = dict(HEADS['fpn'], channels=8)
    decoder = MMSegDecoder(CHANNELS, ('semseg', 'edge'), head=HEADS['uper'], by_task=dict(edge=fpn)).eval()
    assert decoder.out_channels == {'semseg': 16, 'edge': 8}
    assert {task: values.shape[1] for task, values in decoder(features, ('semseg', 'edge')).maps.items()} == {
        'semseg': 16,
        'edge': 8,
    }
    assert MMSegDecoder(CHANNELS, ('edge',), by_task=dict(edge=fpn)).out_channels == {'edge': 8}


def test_heads_share_nothing():
    decoder = MMSegDecoder(CHANNELS, ('semseg', 'edge'), head=HEADS['fpn'])
    one, other = ({id(p) for p in decoder.decoders[task].parameters()} for task in ('semseg', 'edge'))
    assert one
    assert one.isdisjoint(other)


def test_dropout_of_the_head_stays(features):
    decoder = MMSegDecoder(CHANNELS, ('edge',), head=dict(HEADS['segformer'], dropout_ratio=0.5))
    dropped = decoder.train()(features, ('edge',)).maps['edge'].flatten(2).abs().amax(-1) == 0
    kept = decoder.eval()(features, ('edge',)).maps['edge'].flatten(2).abs().amax(-1) == 0
    assert dropped.sum() > kept.sum()


def test_first_weights_of_a_head(tmp_path):
    """`init_cfg` as in mmsegmentation, here the weights of another segmentor's head."""
    other = MODELS.build(
        dict(HEADS['segformer'], _scope_='mmseg', in_channels=CHANNELS, in_index=[0, 1, 2, 3], num_classes=5)
    )
    torch.save(
        {f'decode_head.{k}': v for k, v in other.state_dict().items() if 'conv_seg' not in k}, tmp_path / 'w.pth'
    )
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth'), prefix='decode_head.')
    decoder = MMSegDecoder(CHANNELS, ('edge',), head=dict(HEADS['segformer'], init_cfg=init))
    torch.testing.assert_close(
        decoder.decoders['edge'].state_dict(), {k: v for k, v in other.state_dict().items() if 'conv_seg' not in k}
    )


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(head=dict(type='mmseg.FCNHead', channels=16)), 'single level'),
        (dict(head=dict(HEADS['fpn'], feature_strides=(4, 8))), 'feature_strides'),
        (dict(head=dict(type='mmseg.OCRHead', channels=16, ocr_channels=8, in_index=3)), 'cannot serve'),
        (dict(head=dict(type='mmseg.CrossEntropyLoss'), by_task=dict(depth=HEADS['fpn'])), 'by_task names depth'),
        (dict(by_task=dict(edge=HEADS['fpn'])), 'no head for semseg'),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        MMSegDecoder(CHANNELS, ('semseg', 'edge'), **options)


def test_several_outputs_are_refused(features):
    head = dict(type='mmseg.EncHead', channels=16, in_index=[1, 2, 3], num_codes=4)
    with pytest.raises(ValueError, match='use_se_loss=False'):
        MMSegDecoder(CHANNELS, ('edge',), head=head).eval()(features, ('edge',))


@pytest.mark.parametrize('name', ['fpn', 'uper', 'segformer'])
def test_in_a_model(name, micro_model):
    """On task streams of an adapted Swin: any image size, tasks at run time, a gradient for all that trains."""
    head = {**HEADS[name], **({'feature_strides': (8, 8)} if name == 'fpn' else {})}
    model = micro_model(
        decoder=dict(type='MMSegDecoder', head=head),
        adapters=dict(rank=2, task_rank=2),
        trainable=[],
    )
    assert isinstance(model, MultiTaskModel)
    image = torch.randn(2, 3, 50, 60)
    logits = model.eval()(image)
    assert {task: tuple(values.shape) for task, values in logits.items()} == {
        'semseg': (2, 3, 50, 60),
        'normals': (2, 3, 50, 60),
    }
    torch.testing.assert_close(model(image, tasks=('normals',))['normals'], logits['normals'], rtol=1e-3, atol=1e-4)
    sum(values.square().mean() for values in model.train()(image).values()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert not any(isinstance(m, nn.Conv2d) and n.endswith('conv_seg') for n, m in model.named_modules())


WITHOUT_COMPILED_OPERATORS = """
import sys
sys.modules['mmcv.ops'] = None  # any import of it fails
from mtl.models.decoders import MMSegDecoder
for head in (
    dict(type='mmseg.FPNHead', channels=8, feature_strides=(4, 8)),
    dict(type='mmseg.UPerHead', channels=8),
    dict(type='mmseg.SegformerHead', channels=8),
):
    MMSegDecoder((4, 4), ('depth',), head=head)
"""


@pytest.mark.slow
def test_no_compiled_operators_are_needed():
    subprocess.run([sys.executable, '-c', WITHOUT_COMPILED_OPERATORS], check=True)
