from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mtl.models.data_preprocessor import MultiTaskDataPreprocessor
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample
from tests.models.conftest import MICRO

ROOT = Path(__file__).resolve().parents[2]

TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    depth=dict(type='Depth'),
)
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def labelled(height, width):
    sample = MultiTaskDataSample(metainfo=dict(sample_id='x'))
    sample.set_field(torch.randint(0, 21, (height, width), dtype=torch.uint8), 'gt_semseg')
    sample.set_field(torch.nn.functional.normalize(torch.randn(3, height, width), dim=0), 'gt_normals')
    sample.set_field(torch.rand(height, width) + 1, 'gt_depth')
    sample.set_field(torch.ones(height, width, dtype=torch.uint8), 'gt_saliency')
    return sample


def image(height, width):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8)


def test_images_are_normalised_in_rgb():
    pixels = image(4, 5)
    batch = MultiTaskDataPreprocessor(TASKS)(dict(inputs=[pixels]))
    assert batch['data_samples'] is None
    for y, x in np.ndindex(4, 5):
        for channel in range(3):
            expected = (float(pixels[2 - channel, y, x]) - MEAN[channel]) / STD[channel]
            assert abs(float(batch['inputs'][0, channel, y, x]) - expected) < 1e-5
    rgb = MultiTaskDataPreprocessor(TASKS, bgr_to_rgb=False)(dict(inputs=pixels.flip(0)[None]))
    torch.testing.assert_close(rgb['inputs'], batch['inputs'])


@pytest.mark.parametrize(('divisor', 'side'), [(1, (7, 9)), (4, (8, 12)), (32, (32, 32))])
def test_training_pads_with_what_is_unknown(divisor, side):
    sizes = [(5, 9), (7, 6)]
    samples = [labelled(*size) for size in sizes]
    before = [sample.clone() for sample in samples]
    batch = MultiTaskDataPreprocessor(TASKS, size_divisor=divisor)(
        dict(inputs=[image(*size) for size in sizes], data_samples=samples), training=True
    )
    assert batch['inputs'].shape == (2, 3, *side)
    unknown = dict(semseg=255, saliency=255, normals=0, depth=0)
    for (height, width), old, new, pixels in zip(sizes, before, batch['data_samples'], batch['inputs'], strict=True):
        assert (pixels[:, height:] == 0).all()
        assert (pixels[:, :, width:] == 0).all()
        assert (new.img_shape, new.batch_input_shape, new.sample_id) == ((height, width), side, 'x')
        for name, value in unknown.items():
            label = new.label(name)
            assert label.shape[-2:] == side
            assert label.dtype == old.label(name).dtype
            torch.testing.assert_close(label[..., :height, :width], old.label(name))
            assert (label[..., height:, :] == value).all()
            assert (label[..., width:] == value).all()


def test_evaluation_leaves_labels_alone():
    sample = labelled(20, 30)  # at the resolution of the file, larger than what the network sees
    batch = MultiTaskDataPreprocessor(TASKS, size_divisor=8)(dict(inputs=[image(5, 6)], data_samples=[sample]))
    assert batch['inputs'].shape == (1, 3, 8, 8)
    assert batch['data_samples'][0].gt_semseg.shape == (20, 30)
    assert batch['data_samples'][0].img_shape == (5, 6)


def test_missing_labels_stay_missing():
    samples = [labelled(4, 4), MultiTaskDataSample()]
    inputs = [image(4, 4), image(6, 4)]
    batch = MultiTaskDataPreprocessor(TASKS)(dict(inputs=inputs, data_samples=samples), training=True)
    assert [batch['data_samples'][1].has_label(name) for name in TASKS] == [False] * 4
    assert batch['data_samples'][0].gt_semseg.shape == (6, 4)


def test_a_label_of_another_size_than_its_image_cannot_train():
    with pytest.raises(ValueError, match=r'semseg \(6, 10\) for an image \(4, 5\).*LoadLabels must come before'):
        MultiTaskDataPreprocessor(TASKS)(dict(inputs=[image(4, 5)], data_samples=[labelled(6, 10)]), training=True)


@pytest.mark.parametrize(
    ('stated', 'mean', 'std'),
    [({}, (127.5,) * 3, (127.5,) * 3), (dict(mean=[1, 2, 3], std=[4, 5, 6]), (1, 2, 3), (4, 5, 6))],
)
def test_a_model_takes_mean_and_std_of_its_backbone(stated, mean, std):
    """timm's weights of EfficientNet-Lite0 were trained on pixels from -1 to 1."""
    config = Config.fromfile(ROOT / 'configs/mtlora/mtlora_swin_hrnet_nyud.py')
    backbone = dict(
        _delete_=True, type='TimmBackbone', model='tf_efficientnet_lite0', pretrained=None, allow_random_init=True
    )
    config.merge_from_dict(dict(model=dict(backbone=backbone, data_preprocessor=stated)))
    model = MODELS.build(config.model)
    assert tuple(model.data_preprocessor.mean.flatten().tolist()) == mean
    assert tuple(model.data_preprocessor.std.flatten().tolist()) == std


def test_swin_takes_those_of_imagenet():
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
            backbone=MICRO,
            decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
        )
    )
    torch.testing.assert_close(model.data_preprocessor.mean.flatten(), torch.tensor(MEAN))
    torch.testing.assert_close(model.data_preprocessor.std.flatten(), torch.tensor(STD))
