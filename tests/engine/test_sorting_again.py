"""The first sandwich sorts the units once more: whatever is kept per parameter moves with them."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import EMAHook as MMEnginesEMAHook

from mtl.checkpoints import load_weights_only
from mtl.engine.hooks import AtomicCheckpointHook, EMAHook
from mtl.engine.optim import OptimWrapper
from mtl.protocols import adapter_layers
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample
from tests.models.conftest import MICRO, TASKS

IMAGE = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(1))
FIRST_SANDWICH = 2  # step
BASE = 'backbone.swin.layers.0.blocks.0.mlp.fc1.weight'


def build(**backbone):
    """A slimmable network whose base is frozen, and whose units training has made more or less important."""
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='MultiTaskModel',
            tasks=TASKS,
            backbone={**MICRO, 'adapters': dict(rank=3, task_rank=2, dropout=0.0), 'trainable': ('norms',), **backbone},
            decoder=dict(
                type='HRNetDecoder', level_channels=(4, 6), out_channels=16, norm_cfg=dict(type='GN', num_groups=2)
            ),
            slimming=dict(encoder=0.25, decoder=(0.5, 1.0), multiple=2, samples=1, begin=FIRST_SANDWICH),
        )
    )
    with torch.no_grad():
        for _, layer in adapter_layers(model):
            for parameter in layer.adapter_parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        for parameter in model.backbone.parameters():
            if parameter.requires_grad:
                parameter.mul_(1 + torch.rand_like(parameter))
    return model.train()


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    samples = [
        MultiTaskDataSample(
            gt_semseg=torch.randint(0, 3, (56, 56), generator=draw).byte(),
            gt_normals=torch.nn.functional.normalize(torch.randn(3, 56, 56, generator=draw), dim=0),
        )
        for _ in range(2)
    ]
    return dict(inputs=torch.randn(2, 3, 56, 56, generator=draw), data_samples=samples)


def trained(model, hook, steps, lr=0.01):
    """Train for ``steps`` as the runner does, with an average; gives the optimizer before each step."""
    wrapper = OptimWrapper(torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr))
    runner = SimpleNamespace(model=model, iter=0, epoch=0)
    hook.before_run(runner)
    for runner.iter in range(steps):
        yield wrapper.optimizer
        model.train_step(batch(runner.iter), wrapper)
        hook.after_train_iter(runner, runner.iter)


def outputs(model):
    """Logits at full width."""
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        return model.logits(IMAGE)


def average_over_sorting(hook):
    """An average after the step that sorts, and what it must be; that step changes nothing but the order of units."""
    model = build()
    for optimizer in trained(model, hook, FIRST_SANDWICH + 1):
        if model.steps == FIRST_SANDWICH:
            for group in optimizer.param_groups:
                group['lr'] = 0.0
            expected, network, weights = (
                copy.deepcopy(hook.ema_model),
                outputs(model),
                model.get_parameter(BASE).clone(),
            )
            if expected.update_buffers:  # copying has cut these from the tensors of the copied network
                expected.avg_parameters = expected.module.state_dict()
            expected.update_parameters(model)
    assert not torch.equal(model.get_parameter(BASE), weights)
    for task, values in outputs(model).items():
        torch.testing.assert_close(values, network[task], rtol=1e-4, atol=1e-5)
    return outputs(hook.ema_model.module), outputs(expected.module), network


@pytest.mark.parametrize('options', [{}, dict(interval=2), dict(update_buffers=True), dict(begin_iter=3)], ids=str)
def test_the_average_stays_the_same_function(options):
    found, expected, network = average_over_sorting(EMAHook(momentum=0.5, **options))
    for task, values in expected.items():
        assert 'begin_iter' in options or (values - network[task]).abs().max() > 1e-3  # it is another network
        torch.testing.assert_close(found[task], values, rtol=1e-4, atol=1e-5)


def test_an_average_that_keeps_its_order_is_a_mixture():
    """So the test above would notice."""
    found, expected, _ = average_over_sorting(MMEnginesEMAHook(momentum=0.5))
    assert all((found[task] - values).abs().max() > 1e-2 for task, values in expected.items())


@pytest.mark.parametrize(
    'optimizer',
    [
        'Adam',
        pytest.param('Adafactor', marks=pytest.mark.skipif(not hasattr(torch.optim, 'Adafactor'), reason='torch 2.5')),
    ],
)
def test_what_the_optimizer_keeps_moves_too(optimizer):
    """Two runs whose units lie differently until the sandwich begins: sorted, they are the same run."""
    found = []
    for turn in (False, True):
        model = build().double()
        if turn:
            split = [group.size for group in model.width_table().importance]
            model.move_units({'unit_order': torch.cat([part.flip(0) for part in model.unit_order.split(split)])})
        wrapper = OptimWrapper(
            getattr(torch.optim, optimizer)([p for p in model.parameters() if p.requires_grad], lr=0.01)
        )
        for step in range(FIRST_SANDWICH + 1):  # the last begins by sorting and ends by using what is kept
            data = batch(step)
            model.train_step(dict(data, inputs=data['inputs'].double()), wrapper)
        found.append({name: value.clone() for name, value in model.named_parameters()})
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('resume', [True, False])
def test_files_of_adapters_only_give_the_average_its_base(resume, tmp_path):
    """The hooks of a run with an average, in the runner's order: the average's first, that of checkpoints last."""
    model, hook, files = build(), EMAHook(momentum=0.5), AtomicCheckpointHook(adapters_only=True)
    for _ in trained(model, hook, FIRST_SANDWICH + 2):
        pass
    checkpoint = dict(state_dict=copy.deepcopy(model.state_dict()), meta={})
    for each in (hook, files):
        each.before_save_checkpoint(SimpleNamespace(model=model), checkpoint)
    torch.save(checkpoint, tmp_path / 'adapters.pth')
    checkpoint = load_weights_only(tmp_path / 'adapters.pth')
    assert not [name for key in ('state_dict', 'ema_state_dict') for name in checkpoint[key] if name.endswith(BASE)]

    fresh, new = build(), EMAHook(momentum=0.5)
    runner = SimpleNamespace(model=fresh, _load_from='adapters.pth', _resume=resume, cfg={})
    new.before_run(runner)
    for each in (new, files):
        each.after_load_checkpoint(runner, checkpoint)
    fresh.load_state_dict(checkpoint['state_dict'])
    wanted = dict(model=model if resume else hook.ema_model.module, average=hook.ema_model.module)
    for network, found in (('model', fresh), ('average', new.ema_model.module)):
        for task, expected in outputs(wanted[network]).items():
            torch.testing.assert_close(outputs(found)[task], expected, rtol=0, atol=0)
