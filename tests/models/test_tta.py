"""Averaging over views of an image."""

import torch

from mtl.models import MultiTaskTTAModel
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample


def test_a_mirrored_image_gives_mirrored_logits(micro_model):
    """With the flip among the views, the average commutes with mirroring; the x of normals changes sign."""
    model = MultiTaskTTAModel(micro_model().eval(), scales=(1.0, 1.5), flip=True)
    image = torch.randn(1, 3, 64, 64)
    logits, mirrored = model.logits(image), model.logits(image.flip(-1))
    torch.testing.assert_close(mirrored['semseg'], logits['semseg'].flip(-1), rtol=1e-4, atol=1e-5)
    sign = torch.tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
    torch.testing.assert_close(mirrored['normals'], logits['normals'].flip(-1) * sign, rtol=1e-4, atol=1e-5)


def test_it_is_the_mean_of_the_views(micro_model):
    model = micro_model().eval()
    image = torch.randn(1, 3, 40, 36)
    expected = (model.logits(image)['semseg'] + model.logits(image.flip(-1))['semseg'].flip(-1)) / 2
    torch.testing.assert_close(MultiTaskTTAModel(model).logits(image)['semseg'], expected)
    alone = MultiTaskTTAModel(model, flip=False).logits(image)['semseg']
    torch.testing.assert_close(alone, model.logits(image)['semseg'])


def test_a_test_step_predicts_the_active_tasks(micro_model):
    model = micro_model().eval()
    model.active_tasks = ('normals',)
    model.data_preprocessor = MODELS.build(dict(type='MultiTaskDataPreprocessor', tasks=model.tasks))
    sample = MultiTaskDataSample(metainfo=dict(ori_shape=(80, 72)))
    image = torch.randint(0, 256, (3, 40, 36), dtype=torch.uint8)
    (found,) = MultiTaskTTAModel(model).test_step(dict(inputs=[image], data_samples=[sample]))
    assert found.pred_normals.shape == (3, 80, 72)
    assert 'pred_semseg' not in found
