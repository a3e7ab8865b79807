"""Distilling a teacher, against a derivation pixel by pixel."""

import pytest
import torch
from mmengine.config import Config

from mtl.checkpoints.publishing import without_training
from mtl.models import MultiTaskModel
from mtl.registry import MODELS, OPTIM_WRAPPERS
from mtl.structures import MultiTaskDataSample
from tests.models.conftest import MICRO, TASKS
from tests.models.test_multi_task_model import labels

TEACHER = dict(
    type='TimmBackbone', model='resnet10t', out_indices=(1, 2), pretrained=None, allow_random_init=True, trainable=[]
)


def build(pairs=((0, 0), (1, 1)), teacher=TEACHER, **options):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='DistilledMultiTaskModel',
            tasks=TASKS,
            data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
            backbone=MICRO,
            decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
            teacher=teacher,
            pairs=pairs,
            **options,
        )
    )


def test_loss_is_the_unexplained_variance():
    """Each pixel of the student predicts the block of the teacher's standardised pixels that it covers."""
    model = build(teacher={**TEACHER, 'model': 'tf_efficientnet_lite0', 'out_indices': (1, 2)})
    rgb = torch.rand(2, 3, 56, 56) * 255
    inputs = (rgb - model.data_preprocessor.mean) / model.data_preprocessor.std
    own = [level.of('shared') for level in model.backbone(inputs, ('shared',)).levels]
    teacher_inputs = (rgb - 127.5) / 127.5  # timm's mean and std of that network
    other = [level.of('shared') for level in model.teacher(teacher_inputs).levels]
    assert [tuple(level.shape[-2:]) for level in own] == [(7, 7), (7, 7)]
    assert [tuple(level.shape[-2:]) for level in other] == [(14, 14), (7, 7)]

    expected = []
    for level, (student, teacher) in enumerate(zip(own, other, strict=True)):
        block = teacher.shape[-1] // student.shape[-1]
        rows = []
        for image in range(2):
            for y in range(7):
                for x in range(7):
                    values = teacher[image, :, y * block : (y + 1) * block, x * block : (x + 1) * block]
                    rows.append(values.flatten())
        target = torch.stack(rows)
        target = (target - target.mean(0)) / (target.var(0, unbiased=False) + 1e-5).sqrt()
        projection = model.projections[level]
        predicted = student.permute(0, 2, 3, 1).flatten(0, 2) @ projection.weight.flatten(1).T + projection.bias
        expected.append(((predicted - target) ** 2).mean())

    losses = model.loss(inputs, [MultiTaskDataSample(), MultiTaskDataSample()])
    torch.testing.assert_close([losses['loss/teacher0'], losses['loss/teacher1']], expected, rtol=1e-4, atol=1e-5)


def test_images_without_labels_train_the_backbone():
    model = build(teacher_weight=3.0)
    losses = model.loss(torch.randn(2, 3, 56, 56), [MultiTaskDataSample(), MultiTaskDataSample()])
    assert set(losses) == {'unlabelled/semseg', 'unlabelled/normals', 'loss/teacher0', 'loss/teacher1'}
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert model.backbone.swin.patch_embed.proj.weight.grad.abs().sum() > 0
    assert float(losses['unlabelled/semseg'].detach()) == 0


def test_teacher_stays_as_it_is():
    model = build().train()
    before = {name: value.clone() for name, value in model.teacher.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    sum(model.loss(torch.randn(2, 3, 56, 56), [labels((56, 56)), labels((56, 56))]).values()).backward()
    optimizer.step()
    assert not model.teacher.training
    assert model.backbone.training
    after = model.teacher.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_coarser_teacher_is_refused():
    with pytest.raises(ValueError, match=r"level 0 has stride 8; the teacher's level 1 must .* Found 16\."):
        build(pairs=((0, 1),), teacher={**TEACHER, 'out_indices': (1, 3)})


def test_the_full_width_learns_from_the_teacher_and_the_others_from_it():
    model = build(slimming=dict(encoder=(0.5, 1.0), decoder=(0.5, 1.0), samples=1))
    wrapper = OPTIM_WRAPPERS.build(
        dict(type='OptimWrapper', autocast='bfloat16', optimizer=torch.optim.SGD(model.parameters(), lr=0.01))
    )
    with model.at_width('full'):
        losses = model.loss(torch.randn(2, 3, 56, 56), [labels((56, 56))] * 2)
    assert {'loss/teacher0', 'loss/teacher1', 'loss/semseg', 'loss/normals'} == set(losses)
    with model.at_width('small'):
        losses = model.loss(torch.randn(2, 3, 56, 56), [labels((56, 56))] * 2)
    assert {'loss/semseg', 'loss/normals'} == set(losses)

    before = model.projections[0].weight.detach().clone()
    batch = dict(inputs=[torch.randint(0, 255, (3, 56, 56)).byte()] * 2, data_samples=[labels((56, 56))] * 2)
    logs = model.train_step(batch, wrapper)
    assert {'loss/teacher0', 'width/small/loss', 'width/random/distillation'} <= set(logs)
    assert not torch.equal(before, model.projections[0].weight)


def test_what_is_published_has_no_teacher():
    options = dict(slimming=dict(encoder=(0.5, 1.0), decoder=(0.5, 1.0)))
    model = build(**options)
    config = Config(
        dict(
            model=dict(
                type='DistilledMultiTaskModel',
                tasks=TASKS,
                data_preprocessor=dict(type='MultiTaskDataPreprocessor'),
                backbone=MICRO,
                decoder=dict(type='HRNetDecoder', level_channels=(4, 6), out_channels=16),
                teacher=TEACHER,
                pairs=((0, 0), (1, 1)),
                **options,
            )
        )
    )
    kept, state = without_training(config, model.state_dict())
    network = MODELS.build(kept.model)
    assert type(network) is MultiTaskModel
    network.load_state_dict(state)
    inputs = torch.randn(1, 3, 56, 56)
    for width in ('full', 'small'):
        with model.eval().at_width(width), network.eval().at_width(width):
            torch.testing.assert_close(network.logits(inputs), model.logits(inputs))
