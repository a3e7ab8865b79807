"""The sandwich step: the sum of its passes' gradients, whatever wraps the optimizer and however many processes."""

import copy
import random

import pytest
import torch
from mmengine.optim import OptimWrapper

from mtl.losses import feature_distance, teacher_of
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.sorting import sort_by_importance
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample


@pytest.fixture
def slimmable(slimmable):
    """With sorted units: the first sandwich leaves them where they are."""

    def build(*args, **options):
        model, *rest = slimmable(*args, **options)
        sort_by_importance(model, model.width_table())
        return model, *rest

    return build


def batch(size=2):
    draw = torch.Generator().manual_seed(0)
    shape = (32, 40)
    samples = [
        MultiTaskDataSample(
            gt_semseg=torch.randint(0, 3, shape, generator=draw).byte(),
            gt_normals=torch.nn.functional.normalize(torch.randn(3, *shape, generator=draw), dim=0),
            gt_saliency=torch.randint(0, 2, shape, generator=draw).byte(),
        )
        for _ in range(size)
    ]
    return dict(inputs=torch.randn(size, 3, *shape, generator=draw).double(), data_samples=samples)


def batch_of_floats():
    data = batch()
    return dict(data, inputs=data['inputs'].float())


def gradients_of_passes(model):
    """The sum of the gradients of the sandwich's passes, each taken by itself, and each pass's losses."""
    total, logs = {}, []
    inputs, samples = batch().values()
    with torch.no_grad():
        teacher = teacher_of(copy.deepcopy(model).extract(inputs, tuple(model.tasks)))
    for name, width in model.policy.widths(model):
        alone = copy.deepcopy(model)
        with alone.at_width(width):
            losses = alone.loss(inputs, samples)
            if name != 'full':
                features = alone.extract(inputs, tuple(model.tasks))
                losses['distillation'] = alone.policy.distillation_weight * feature_distance(features, teacher)
            sum(losses.values()).backward()
        for key, parameter in alone.named_parameters():
            if parameter.grad is not None:
                total[key] = total.get(key, 0) + parameter.grad
        logs.append((name, losses))
    return total, logs


class ScalingWrapper(OptimWrapper):
    """Scales the loss in the backward pass and the gradients back in the step, as mixed precision does."""

    def backward(self, loss, **kwargs):
        super().backward(loss * 1024, **kwargs)

    def step(self, **kwargs):
        for group in self.optimizer.param_groups:
            for parameter in group['params']:
                if parameter.grad is not None:
                    parameter.grad /= 1024
        super().step(**kwargs)


def moved(model, wrapper, steps, **options):
    """By how much each parameter moves against its gradient: SGD with a learning rate of 1."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    wrapper = wrapper(optimizer, **options)
    logs = [model.train_step(batch(), wrapper) for _ in range(steps)]
    return {name: before[name] - parameter.detach() for name, parameter in model.named_parameters()}, logs


@pytest.mark.parametrize('wrapper', [OptimWrapper, ScalingWrapper])
@pytest.mark.parametrize('decoder', ['hrnet', 'task_expert'])
def test_one_step_takes_the_sum_of_the_gradients(decoder, wrapper, slimmable):
    model = slimmable(decoder)[0].double().train()
    expected, losses = gradients_of_passes(model)
    found, (log,) = moved(model, wrapper, 1)
    assert sum(value.abs().max() > 1e-3 for value in expected.values()) > 50
    for name, value in found.items():
        torch.testing.assert_close(value, expected.get(name, torch.zeros_like(value)), rtol=1e-6, atol=1e-9)
    assert int(model.steps) == 1

    by_name = {name: [other for n, other in losses if n == name] for name in ('full', 'small', 'random')}
    (full,) = by_name['full']
    assert log['loss'].item() == pytest.approx(sum(full.values()).item())
    assert log['loss/normals'].item() == pytest.approx(full['loss/normals'].item())
    for name in ('small', 'random'):
        terms = [{key: value.item() for key, value in losses.items()} for losses in by_name[name]]
        mean = sum(each['distillation'] for each in terms) / len(terms)
        assert log[f'width/{name}/distillation'].item() == pytest.approx(mean)
        total = sum(sum(each.values()) for each in terms) / len(terms)
        assert log[f'width/{name}/loss'].item() == pytest.approx(total - mean)
        assert mean > 0.01


def test_blocks_that_run_again_run_at_the_same_width(slimmable):
    """Gradient checkpointing: the second forward happens in the backward pass."""
    model = slimmable('task_expert')[0].double().train()
    again = slimmable('task_expert', checkpoint_blocks=True)[0].double().train()
    expected, _ = moved(model, OptimWrapper, 1)
    found, _ = moved(again, OptimWrapper, 1)
    assert max(value.abs().max() for value in expected.values()) > 1e-2
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


def test_accumulation_over_two_steps(slimmable):
    model = slimmable('task_expert')[0].double().train()
    first, _ = gradients_of_passes(model)
    later = copy.deepcopy(model)
    later.steps += 1
    second, _ = gradients_of_passes(later)
    found, _ = moved(copy.deepcopy(model), OptimWrapper, 1, accumulative_counts=2)
    assert all(value.abs().max() == 0 for value in found.values())
    found, _ = moved(model, OptimWrapper, 2, accumulative_counts=2)
    for name, value in first.items():
        torch.testing.assert_close(found[name], (value + second[name]) / 2, rtol=1e-6, atol=1e-9)


def test_one_width_only(slimmable):
    """`--cfg-options model.slimming=None`: the step of an ordinary model."""
    _, options = slimmable('task_expert')
    torch.manual_seed(0)
    model = MODELS.build({**options, 'slimming': None}).double().train()
    inputs, samples = batch().values()
    losses = model.loss(inputs, samples)
    trains = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    expected = dict(zip(trains, torch.autograd.grad(sum(losses.values()), trains.values()), strict=True))
    found, (log,) = moved(model, OptimWrapper, 1)
    assert set(log) == {'loss', *losses}
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-9)


def test_the_first_steps_train_the_full_width_alone(slimmable):
    model = slimmable('task_expert', slimming=dict(begin=2))[0].double().train()
    plain = copy.deepcopy(model)
    inputs, samples = batch().values()
    expected = sum(plain.loss(inputs, samples).values())
    expected.backward()
    found, (log,) = moved(model, OptimWrapper, 1)
    for name, parameter in plain.named_parameters():
        wanted = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(found[name], wanted, rtol=1e-6, atol=1e-9)
    assert not any(key.startswith('width/') for key in log)
    _, logs = moved(model, OptimWrapper, 2)
    assert [any(key.startswith('width/') for key in log) for log in logs] == [False, True]


def test_the_first_sandwich_sorts_what_has_been_learnt(slimmable):
    model = slimmable('task_expert', slimming=dict(begin=1))[0].train()
    block = model.backbone.swin.layers[0].blocks[0]
    with torch.no_grad():  # as if training had made the last units the most important
        block.mlp.fc1.weight.mul_(torch.linspace(1, 50, len(block.mlp.fc1.weight))[:, None])
    before = block.mlp.fc1.weight.norm(dim=1)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0)
    wrapper = OptimWrapper(optimizer)
    model.train_step(batch_of_floats(), wrapper)
    torch.testing.assert_close(block.mlp.fc1.weight.norm(dim=1), before)
    model.train_step(batch_of_floats(), wrapper)
    after = block.mlp.fc1.weight.norm(dim=1)
    torch.testing.assert_close(after.sort().values, before.sort().values)
    assert after[: len(after) // 2].mean() > 2 * after[len(after) // 2 :].mean()


def test_widths_follow_from_the_number_of_steps(slimmable):
    model, _ = slimmable(slimming=dict(samples=3))
    other = copy.deepcopy(model)
    drawn = []
    for step in range(6):
        model.steps.fill_(step)
        other.load_state_dict(model.state_dict())
        random.seed(step)  # nobody's business
        assert other.policy.widths(other) == model.policy.widths(model)
        assert [name for name, _ in model.policy.widths(model)] == ['full', 'small', 'random', 'random', 'random']
        drawn += [width for _, width in model.policy.widths(model)[2:]]
    assert len(set(drawn)) == 18


def test_distance():
    """0 for equal features, 1 for none; each image and stream counts alike, however large its features."""
    from mtl.structures import Level, PyramidFeatures

    def pyramid(*levels):
        return PyramidFeatures(tuple(Level(level, ('shared', 'a')) for level in levels), (8, 16))

    draw = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 3, 4, size, size, generator=draw) for size in (6, 3)]
    teacher = teacher_of(pyramid(*levels))
    assert feature_distance(pyramid(*levels), teacher) == 0
    assert feature_distance(pyramid(*(0 * level for level in levels)), teacher).item() == pytest.approx(1)
    changed = [level.clone() for level in levels]
    changed[0][1, 2] *= 0.5
    assert feature_distance(pyramid(*changed), teacher).item() == pytest.approx(0.25 / 6 / 2)


def test_no_gradient_for_the_teacher(slimmable):
    model, _ = slimmable()
    inputs = batch()['inputs'].float()
    features = model.extract(inputs, tuple(model.tasks))
    assert not any(streams.requires_grad for level in teacher_of(features) for streams in level)
    with model.at_width(WidthConfig.uniform(1.0, 2, model.tasks)):
        assert feature_distance(model.extract(inputs, tuple(model.tasks)), teacher_of(features)) == 0
