"""A run that stops making sense says where, stops, and leaves its good weights alone."""

from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel
from torch import nn

from mtl.checkpoints import load_weights_only, newest_readable
from mtl.checkpoints.finite import NotFiniteError, check_finite, not_finite
from mtl.engine.hooks import FiniteHook
from mtl.engine.optim import OptimWrapper
from mtl.models.data_preprocessor import MultiTaskDataPreprocessor


class Network(BaseModel):
    """A weight and a norm; a batch is a value, whose loss is its product with the weight."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0]))
        self.norm = nn.BatchNorm1d(1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        return {'loss/depth': self.weight * inputs.mean(), 'loss/norm': self.norm(inputs).mean()}


def wrapper_of(model, **options):
    return OptimWrapper(torch.optim.AdamW(model.parameters(), lr=0.1), **options)


@pytest.mark.parametrize('options', [{}, dict(clip_grad=dict(max_norm=1.0)), dict(accumulative_counts=2)])
@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_a_bad_step_changes_no_weight(options, bad):
    model = Network()
    wrapper = wrapper_of(model, **options)
    wrapper.initialize_count_status(model, 0, 100)
    good = torch.tensor([[1.0], [3.0]])
    for _ in range(2):
        wrapper.update_params(model(good)['loss/depth'].sum())
    before = {name: value.clone() for name, value in model.named_parameters()}
    moments = [state['exp_avg'].clone() for state in wrapper.optimizer.state.values()]
    for value in (bad, 1.0) if wrapper._accumulative_counts == 2 else (bad,):
        wrapper.update_params(model(good * value)['loss/depth'].sum())
    assert wrapper.skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())
    assert all(
        torch.equal(state['exp_avg'], moment)
        for state, moment in zip(wrapper.optimizer.state.values(), moments, strict=True)
    )
    for _ in range(2):
        wrapper.update_params(model(good)['loss/depth'].sum())
    assert wrapper.skipped == 0
    assert not torch.equal(model.weight, before['weight'])


def test_a_loss_that_is_infinite_with_a_finite_gradient():
    model = Network()
    wrapper = wrapper_of(model)
    wrapper.update_params((model.weight + torch.tensor(float('inf'))).sum())
    assert wrapper.skipped == 1
    assert model.weight.item() == 2.0


def test_a_good_step_is_that_of_mmengine():
    from mmengine.optim import OptimWrapper as MMEngines

    weights = []
    for kind in (OptimWrapper, MMEngines):
        torch.manual_seed(0)
        model = Network()
        wrapper = kind(torch.optim.AdamW(model.parameters(), lr=0.1), clip_grad=dict(max_norm=0.5))
        for value in (1.0, -3.0, 0.7):
            wrapper.update_params(sum(model(torch.tensor([[value], [0.1]])).values()).sum())
        weights.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))


class Runner:
    iter = 6

    def __init__(self, model):
        self.model, self.optim_wrapper = model, wrapper_of(model)


def test_the_hook_names_the_step_puts_statistics_back_and_stops(monkeypatch):
    lines = []
    monkeypatch.setattr('mtl.engine.hooks.finite.print_log', lambda text, *_: lines.append(text))
    model = Network().train()
    runner, hook = Runner(model), FiniteHook(patience=2)
    hook.before_train(runner)

    def step(value):
        batch = dict(inputs=torch.tensor([[value], [1.0]]), data_samples=[dict(img_path='a.jpg'), dict(sample_id='b')])
        hook.before_train_iter(runner, 0, batch)
        losses = model(batch['inputs'])
        runner.optim_wrapper.update_params(sum(losses.values()).sum())
        hook.after_train_iter(runner, 0, batch, {name: value.detach().mean() for name, value in losses.items()})

    step(0.5)
    kept = model.norm.running_mean.clone()
    step(float('nan'))
    assert torch.equal(model.norm.running_mean, kept)
    assert lines == ['Iteration 7: the loss of depth, norm is not finite. The step was left out. Images: a.jpg, b.']
    step(0.5)  # in a row means in a row
    step(float('nan'))
    with pytest.raises(NotFiniteError, match=r'Iteration 7.*a\.jpg, b.*2 steps in a row'):
        step(float('nan'))
    assert torch.isfinite(model.norm.running_mean).all()


def test_which_tensors():
    state = dict(a=torch.ones(2), b=torch.tensor([1.0, float('nan')]), c=torch.tensor(3), d=torch.tensor(float('inf')))
    assert not_finite(state) == ['b', 'd']
    with pytest.raises(NotFiniteError, match='inf or NaN in 2 of 4 tensors, first in b'):
        check_finite(state, 'It', '')


def test_nothing_goes_on_from_such_a_checkpoint(tmp_path):
    torch.save(dict(state_dict=dict(a=torch.ones(2))), tmp_path / 'epoch_1.pth')
    torch.save(dict(state_dict=dict(a=torch.tensor(float('nan')))), tmp_path / 'epoch_2.pth')
    assert newest_readable(tmp_path) == tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize(
    'wrong', [dict(std=(0, 1, 1)), dict(std=(1, 1)), dict(mean=(float('nan'), 0, 0)), dict(std=(-1, 1, 1))]
)
def test_a_mean_and_std_that_no_pixel_can_have(wrong):
    with pytest.raises(ValueError, match='three finite numbers'):
        MultiTaskDataPreprocessor(dict(depth=dict(type='Depth')), **wrong)


@pytest.mark.slow
def test_a_run_with_a_rate_beyond_reason(tmp_path, write_config, run_tool):
    config = write_config(tmp_path / 'tiny.py')
    first = run_tool('train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    assert first.returncode == 0, first.stderr[-3000:]
    good = (tmp_path / 'run/epoch_1.pth').read_bytes()
    options = ('--resume', '--cfg-options', 'optim_wrapper.optimizer.lr=1e30')
    second = run_tool('train.py', config, '--work-dir', tmp_path / 'run', *options)
    assert second.returncode == 2
    assert 'steps in a row' in second.stderr
    assert 'JPEGImages/train_' in second.stderr
    assert (tmp_path / 'run/epoch_1.pth').read_bytes() == good
    assert not_finite(load_weights_only(tmp_path / 'run/epoch_1.pth')['state_dict']) == []


def test_a_network_that_is_not_finite_is_used_for_nothing(tmp_path, write_config, run_tool):
    from mmengine.config import Config

    from mtl.checkpoints.restoring import build_for_checkpoint

    path = write_config(tmp_path / 'tiny.py')
    config = Config.fromfile(path)
    state = build_for_checkpoint(config).state_dict()
    state['heads.edge.bias'][0] = float('nan')
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)), tmp_path / 'bad.pth')
    image = next(Path(config.train_dataloader.dataset.data_root).glob('JPEGImages/*.jpg'))
    for tool, *arguments in (
        ('test.py', path, tmp_path / 'bad.pth', '--work-dir', tmp_path / 'test'),
        ('image_demo.py', image, tmp_path / 'bad.pth'),
        ('misc/publish_checkpoint.py', tmp_path / 'bad.pth', tmp_path / 'out.pth'),
    ):
        done = run_tool(tool, *arguments)
        assert done.returncode == 2, done.stderr
        assert 'inf or NaN in 1 of' in done.stderr
        assert 'heads.edge.bias' in done.stderr
        assert 'Traceback' not in done.stderr


def test_a_wrapper_that_does_not_count(monkeypatch):
    """MMEngine's own, say: the hook looks at the losses alone."""
    from mmengine.optim import OptimWrapper as MMEngines

    lines = []
    monkeypatch.setattr('mtl.engine.hooks.finite.print_log', lambda text, *_: lines.append(text))
    runner, hook = Runner(Network()), FiniteHook()
    runner.optim_wrapper = MMEngines(torch.optim.SGD(runner.model.parameters(), lr=0.1))
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, {}, {'loss/depth': torch.tensor(1.0)})
    assert not lines
    hook.after_train_iter(runner, 0, {}, {'loss/depth': torch.tensor(1.0), 'loss/edge': torch.tensor(float('nan'))})
    assert 'the loss of edge is not finite' in lines[0]


def test_autocast_computes_in_bfloat16_and_keeps_the_weights():
    model = nn.Linear(2, 1)
    wrapper = wrapper_of(model, autocast='bfloat16')
    with wrapper.optim_context(model):
        result = model(torch.ones(1, 2))
    assert result.dtype == torch.bfloat16
    wrapper.update_params(result.float().sum())
    assert model.weight.dtype == torch.float32
    with wrapper_of(model).optim_context(model):
        assert model(torch.ones(1, 2)).dtype == torch.float32
    with pytest.raises(ValueError, match=r"None or 'bfloat16'\. Found 'float16'"):
        wrapper_of(model, autocast='float16')
