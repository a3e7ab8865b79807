"""Sorting keeps the function and puts the important units first."""

from itertools import pairwise

import torch
from mmengine.optim import OptimWrapper

from mtl.checkpoints.adapters_only import leave_out_base, put_back_base
from mtl.models.slimmable.sorting import sort_by_importance
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample

IMAGES = torch.randn(2, 3, 32, 40, generator=torch.Generator().manual_seed(5))


def test_the_full_network_stays_the_same(slimmable):
    model, images = slimmable()[0].double(), IMAGES.double()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        expected = model.logits(images)
        sort_by_importance(model, model.width_table())
        found = model.logits(images)
    for task, values in expected.items():
        torch.testing.assert_close(found[task], values, rtol=0, atol=1e-12)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    for part in (
        'qkv.weight',
        'qkv.shared.B',
        'position_bias_table',
        'fc1.bias',
        'fc2.tasks.normals.A',
        'proj.shared.A',
    ):
        assert any(name.endswith(part) for name in moved), part
    assert not any(name.endswith(('proj.bias', 'fc2.bias', 'fc2.shared.B', 'norm1.weight')) for name in moved)


def test_gradients_and_what_the_optimizer_keeps_move_with_their_parameters(slimmable):
    model, _ = slimmable()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters)
    for parameter in parameters:
        parameter.grad = parameter.detach().clone()
    optimizer.step()
    for parameter in parameters:
        parameter.grad = parameter.detach().clone()
        optimizer.state[parameter]['exp_avg'].copy_(2 * parameter.detach())
    before = [parameter.detach().clone() for parameter in parameters]
    sort_by_importance(model, model.width_table(), optimizer)
    assert any(not torch.equal(old, new) for old, new in zip(before, parameters, strict=True))
    for parameter in parameters:
        torch.testing.assert_close(parameter.grad, parameter.detach(), rtol=0, atol=0)
        torch.testing.assert_close(optimizer.state[parameter]['exp_avg'], 2 * parameter.detach(), rtol=0, atol=0)


def maps_of_heads(block, proj, head, head_dim):
    """``W_proj W_value`` of one head as a map of the normalised input, plus its constant, unit by unit."""
    channels, heads = block.norm1.weight.numel(), block.attn.num_heads
    start = (2 * heads + head) * head_dim
    total = torch.zeros(channels, channels + 1)
    for unit in range(head_dim):
        row = block.attn.qkv.weight[start + unit]
        constant = block.attn.qkv.bias[start + unit] + (row * block.norm1.bias).sum()
        value = torch.cat([row * block.norm1.weight, constant[None]])
        total += torch.outer(proj.weight[:, head * head_dim + unit], value)
    return total


@torch.no_grad()
def test_importance_falls(slimmable):
    model, _ = slimmable()
    sort_by_importance(model, model.width_table())
    layers = model.backbone.swin.layers
    for block, proj in (
        (layers[1].blocks[0], layers[1].blocks[0].attn.proj),
        (layers[0].blocks[1].block, layers[0].blocks[1].proj),
    ):
        norms = [maps_of_heads(block, proj, head, 4).norm() for head in range(block.attn.num_heads)]
        assert norms == sorted(norms, reverse=True)
        hidden = []
        for unit in range(block.mlp.fc1.out_features):
            row = block.mlp.fc1.weight[unit]
            constant = block.mlp.fc1.bias[unit] + (row * block.norm2.bias).sum()
            reading = torch.cat([row * block.norm2.weight, constant[None]])
            hidden.append(torch.outer(block.mlp.fc2.weight[:, unit], reading).norm())
        assert all(a >= b - 1e-5 for a, b in pairwise(hidden))
        assert hidden[0] > 1.2 * hidden[-1]


def test_checkpoints_without_the_base_know_sorted_bases(slimmable):
    """A network that is built anew from the same pretrained weights sorts them alike."""
    _, options = slimmable(trainable=('norms',))
    torch.manual_seed(0)
    trained = MODELS.build(options)
    checkpoint = dict(state_dict=trained.state_dict())
    whole = dict(checkpoint['state_dict'])
    leave_out_base(trained, checkpoint)
    assert len(checkpoint['state_dict']) < len(whole)
    torch.manual_seed(0)
    put_back_base(MODELS.build(options), checkpoint)
    assert all(torch.equal(checkpoint['state_dict'][name], value) for name, value in whole.items())


def test_nor_does_the_first_sandwich_lose_the_base(slimmable):
    """It sorts by what has been learnt, and thereby moves the base, too."""
    _, options = slimmable(trainable=('norms',))
    torch.manual_seed(0)
    trained = MODELS.build(options)
    with torch.no_grad():
        for parameter in trained.backbone.parameters():
            if parameter.requires_grad:
                parameter.mul_(1 + torch.rand_like(parameter))
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    wrapper = OptimWrapper(torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.0))
    labels = dict(gt_semseg=torch.zeros(32, 40).byte(), gt_saliency=torch.zeros(32, 40).byte())
    for _ in range(2):  # only the first moves anything
        samples = [MultiTaskDataSample(gt_normals=torch.ones(3, 32, 40), **labels) for _ in IMAGES]
        trained.train_step(dict(inputs=IMAGES, data_samples=samples), wrapper)
    whole = {name: value.clone() for name, value in trained.state_dict().items()}
    name = 'backbone.swin.layers.0.blocks.0.mlp.fc1.weight'
    assert not torch.equal(whole[name], before[name])

    checkpoint = dict(state_dict=trained.state_dict())
    leave_out_base(trained, checkpoint)
    assert name not in checkpoint['state_dict']
    torch.manual_seed(0)
    put_back_base(fresh := MODELS.build(options), checkpoint)
    fresh.load_state_dict(checkpoint['state_dict'])
    assert all(torch.equal(value, whole[name]) for name, value in fresh.state_dict().items())


def test_checkpoints_that_say_nothing_of_places_load(slimmable):
    model, _ = slimmable()
    state = model.state_dict()
    expected = state.pop('unit_order')
    model.unit_order.zero_()
    model.load_state_dict(state)
    assert torch.equal(model.unit_order, expected)
    assert expected.tolist() == [*range(3), *range(48)] * 2 + [*range(6), *range(96)] * 2


def test_a_network_is_sorted_when_it_is_built(slimmable):
    _, options = slimmable()  # which moves norms and biases afterwards
    importance = MODELS.build(options).width_table().importance
    assert len(importance) == 8  # heads and hidden units of four blocks
    for measure in importance.values():
        assert (measure().diff() <= 1e-6).all()


def test_units_that_are_ordered_already_stay(slimmable):
    _, options = slimmable(slimming=dict(sort=False))
    torch.manual_seed(0)
    model = MODELS.build(options)
    assert any((measure().diff() > 1e-6).any() for measure in model.width_table().importance.values())
    before = {name: value.clone() for name, value in model.named_parameters()}
    wrapper = OptimWrapper(torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.0))
    labels = dict(gt_semseg=torch.zeros(32, 40).byte(), gt_saliency=torch.zeros(32, 40).byte())
    samples = [MultiTaskDataSample(gt_normals=torch.ones(3, 32, 40), **labels) for _ in IMAGES]
    model.train_step(dict(inputs=IMAGES, data_samples=samples), wrapper)
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
