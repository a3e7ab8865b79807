"""What is kept equals what is computed, and is computed again when a weight changes."""

import pytest
import torch
from torch import nn

from mtl.ops import kept as module
from mtl.ops.kept import KeptProducts, kept
from mtl.registry import MODELS

TASKS = dict(semseg=dict(type='SemanticSegmentation', classes='pascal_voc'), depth=dict(type='Depth'))


@pytest.fixture
def counted():
    """A function of a weight, and the list of its calls."""
    calls = []

    def doubled(weight):
        def compute():
            calls.append(1)
            return weight.detach() * 2

        return kept('doubled', compute, weight)

    return doubled, calls


@torch.no_grad()
def test_once_while_the_weights_rest(counted):
    doubled, calls = counted
    weight = nn.Parameter(torch.ones(3))
    doubled(weight), doubled(weight)
    assert len(calls) == 2  # outside, nothing is kept
    with KeptProducts() as products:
        doubled(weight), doubled(weight)
        with KeptProducts():
            doubled(weight)
    assert len(calls) == 4
    with products:
        assert doubled(weight).tolist() == [2, 2, 2]
    assert len(calls) == 4


def by_load_state_dict(weight):
    layer = nn.Linear(1, 1)
    layer.weight = weight
    layer.load_state_dict({'weight': torch.full((1, 1), 5.0), 'bias': torch.zeros(1)})


def by_a_step(weight):
    weight.grad = -torch.ones_like(weight)
    torch.optim.SGD([weight], lr=4.0).step()


def by_other_memory(weight):
    weight.data = torch.full((1, 1), 5.0)


@pytest.mark.parametrize('change', [by_load_state_dict, by_a_step, by_other_memory])
def test_a_change_is_noticed(counted, change):
    doubled, _ = counted
    weight = nn.Parameter(torch.ones(1, 1))
    with KeptProducts(), torch.no_grad():
        assert doubled(weight).item() == 2
        change(weight)
        assert doubled(weight).item() == 10


def test_not_with_gradients_and_not_under_autocast(counted):
    doubled, calls = counted
    weight = nn.Parameter(torch.ones(3))
    with KeptProducts() as products:
        doubled(weight), doubled(weight)
        with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
            doubled(weight), doubled(weight)
    assert len(calls) == 4
    assert not products.entries


def test_in_inference_mode(counted):
    doubled, calls = counted
    with KeptProducts(), torch.inference_mode():
        weight = torch.ones(3)
        doubled(weight), doubled(weight)
    assert len(calls) == 1


@torch.no_grad()
def test_weights_that_are_new_in_every_pass_do_not_fill_the_memory(counted, monkeypatch):
    doubled, _ = counted
    monkeypatch.setattr(module, 'MOST_BYTES', 5 * 3 * 4)
    with KeptProducts() as products:
        for _ in range(20):
            doubled(torch.ones(3))
    assert len(products.entries) <= 5


@pytest.mark.parametrize('mode', ['matrix', 'matrixv2', 'addition'])
@pytest.mark.parametrize('size', [64, 96])
def test_a_network_gives_the_same_bits(mode, size):
    torch.manual_seed(0)
    backbone = dict(type='SwinBackbone', pretrained=None, allow_random_init=True, img_size=64)
    backbone |= dict(embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window_size=4)
    backbone['adapters'] = dict(type='MTLoRA', rank=4, task_rank=[2, 2, 3, {'semseg': 2, 'depth': 4}], mode=mode)
    decoder = dict(type='HRNetDecoder', level_channels=(4, 8, 8, 8), out_channels=16)
    model = MODELS.build(dict(type='MultiTaskModel', tasks=TASKS, backbone=backbone, decoder=decoder)).eval()
    for parameter in model.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        expected = model(image)
        with KeptProducts() as products:
            first, second = model(image), model(image)
            count = len(products.entries)
            model(image)
        assert 0 < count == len(products.entries)  # every key is found again
        for name, logits in expected.items():
            torch.testing.assert_close(first[name], logits, rtol=0, atol=0)
            torch.testing.assert_close(second[name], logits, rtol=0, atol=0)
        alone = model(image[:1], tasks=('depth',))['depth'] if mode != 'addition' else None
        with products:
            if alone is not None:
                torch.testing.assert_close(model(image[:1], tasks=('depth',))['depth'], alone, rtol=0, atol=0)
            for parameter in model.parameters():
                parameter.add_(0.01)
            moved = model(image)
        for name, logits in model(image).items():
            torch.testing.assert_close(moved[name], logits, rtol=0, atol=0)
