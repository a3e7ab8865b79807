"""Trained parameters of the baselines of the published table, from their configs, against closed forms.

Swin-T has stages of 96, 192, 384, 768 channels with 2, 2, 6, 2 blocks.
"""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mtl.models.accounting import count_parameters
from mtl.registry import MODELS

BASELINES = Path(__file__).resolve().parents[2] / 'configs' / 'baselines'
STAGES = ((96, 2), (192, 2), (384, 6), (768, 2))  # channels, blocks
MERGED = (96, 192, 384)  # channels entering a patch merging
BACKBONE = 27_517_818
DECODERS = 1_946_624  # of the four tasks, heads included

# per block: biases of two norms, qkv, proj, fc1, fc2; besides: patch embedding and its norm, norms of patch merging
BIASES = 2 * 96 + sum(blocks * (2 + 3 + 1 + 4 + 1) * c for c, blocks in STAGES) + sum(4 * c for c in MERGED)
NORMS = 2 * 96 + sum(blocks * 2 * 2 * c for c, blocks in STAGES) + sum(2 * 4 * c for c in MERGED)
# rank times (in + out) of qkv, proj, fc1, fc2
LORA = sum(blocks * 16 * (4 * c + 2 * c + 5 * c + 5 * c) for c, blocks in STAGES)
# two bottlenecks a block: down and up, each with a bias
BOTTLENECKS = sum(blocks * 2 * (2 * c * (c // 8) + c // 8 + c) for c, blocks in STAGES)
PROJECTIONS = 18 * 192 + 36 * 384 + 72 * 768 + 144 * 768
ONE_DECODER = PROJECTIONS + 270 * 1080 + 1080 + 2 * 1080  # level projections, convolution, norm


def one_task(channels):
    return BACKBONE + ONE_DECODER + 1080 * channels + channels


@pytest.mark.parametrize(
    ('name', 'adapters', 'trainable'),
    [
        ('single_task_semseg', 0, one_task(21)),
        ('single_task_human_parts', 0, one_task(7)),
        ('single_task_saliency', 0, one_task(1)),
        ('single_task_normals', 0, one_task(3)),
        ('full_finetune', 0, BACKBONE + DECODERS),
        ('decoders_only', 0, DECODERS),
        ('bitfit', 0, BIASES + DECODERS),
        ('lora', LORA, LORA + DECODERS),
        ('adapters', BOTTLENECKS, BOTTLENECKS + NORMS + DECODERS),
    ],
)
def test_trained_parameters(name, adapters, trainable):
    init_default_scope('mtl')
    config = Config.fromfile(BASELINES / f'{name}_swin_pascal.py')
    config.model.backbone.update(pretrained=None, allow_random_init=True)
    counts = count_parameters(MODELS.build(config.model))
    assert counts['adapters'] == adapters
    assert counts['trainable'] == trainable
    assert counts['total'] - counts['frozen'] == trainable
