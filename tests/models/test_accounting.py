"""The parameter table of the MTLoRA paper (Swin-T, 448 x 448, four tasks), every row exact."""

import pytest

from mtl.models.accounting import count_parameters
from mtl.registry import MODELS

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    human_parts=dict(type='PartSegmentation'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
)
ALL = ('patch_embed', 'norms', 'relative_position_bias', 'reductions')
PLUS = ('qkv', 'proj', 'fc1', 'fc2', 'reduction')

ROWS = {  # (rank, task rank, MTLoRA+): adapters, other trainable, trainable, total
    (16, 4, False): (1_406_976, 1_599_546, 4_953_146, 30_871_418),
    (32, 4, False): (2_537_472, 1_599_546, 6_083_642, 32_001_914),
    (64, 4, False): (4_798_464, 1_599_546, 8_344_634, 34_262_906),
    (4, 4, True): (575_232, 51_258, 2_573_114, 30_039_674),
    (8, 8, True): (1_150_464, 51_258, 3_148_346, 30_614_906),
    (16, 16, True): (2_300_928, 51_258, 4_298_810, 31_765_370),
    (16, 4, True): (1_471_488, 51_258, 3_469_370, 30_935_930),
    (32, 4, True): (2_666_496, 51_258, 4_664_378, 32_130_938),
    (64, 4, True): (5_056_512, 51_258, 7_054_394, 34_520_954),
}


def counts(adapters, trainable):
    backbone = dict(
        type='SwinBackbone', pretrained=None, allow_random_init=True, adapters=adapters, trainable=trainable
    )
    model = dict(type='MultiTaskModel', tasks=TASKS, backbone=backbone, decoder=dict(type='HRNetDecoder'))
    return count_parameters(MODELS.build(model))


@pytest.mark.parametrize(('row', 'expected'), ROWS.items(), ids=str)
def test_mtlora(row, expected):
    rank, task_rank, plus = row
    adapters = dict(rank=rank, task_rank=task_rank, **(dict(targets=PLUS) if plus else {}))
    found = counts(adapters, ALL)
    assert (found['adapters'], found['other trainable'], found['trainable'], found['total']) == expected
    assert found['decoders'] + found['heads'] == 1_946_624
    assert found['frozen'] == found['total'] - found['trainable']


def test_full_fine_tune():
    found = counts(None, 'all')
    assert (found['adapters'], found['other trainable'], found['total']) == (0, 27_517_818, 29_464_442)
    assert found['trainable'] == found['total']
