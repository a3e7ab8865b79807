"""Gates: the numbers, the warnings, and a real run that writes them."""

import json
import math

import numpy as np
import pytest
import torch

from mtl.engine.hooks.gates import GateHook, gate_statistics, means_over_levels
from mtl.protocols import DecoderOutput
from mtl.visualization import draw_gates

CHOICES = ('expert_1', 'expert_2', 'memory')


def output(*gates, tasks=('semseg', 'edge')):
    """One level whose gates are the given ones of each task, at every pixel."""
    values = torch.tensor(gates)[:, None, None, None].expand(-1, 2, 3, 4, -1)
    return DecoderOutput(maps=dict.fromkeys(tasks), gates=(values,), choices=CHOICES)


def test_statistics_are_means_over_images_pixels_and_tasks():
    torch.manual_seed(0)
    gates = torch.rand(2, 2, 3, 4, 3).softmax(-1)
    found = gate_statistics(
        DecoderOutput(maps=dict(semseg=None, edge=None), gates=(gates, gates[..., [2, 0, 1]]), choices=CHOICES)
    )
    pixels = [(b, y, x) for b in range(2) for y in range(3) for x in range(4)]
    mean = sum(float(gates[1][p][2]) for p in pixels) / 24
    assert found['edge/level_1/memory'] == pytest.approx(mean)
    assert found['edge/level_2/expert_1'] == pytest.approx(mean)
    entropy = sum(-float(g) * math.log(float(g)) for p in pixels for g in gates[0][p]) / 24 / math.log(3)
    assert found['semseg/level_1/entropy'] == pytest.approx(entropy)
    assert found['load/level_1/memory'] == pytest.approx(
        (found['semseg/level_1/memory'] + found['edge/level_1/memory']) / 2
    )


def test_means_over_levels():
    statistics = {
        f'edge/level_{level}/{name}': level * value
        for level in (1, 2)
        for name, value in (('entropy', 0.2), ('memory', 0.1))
    }
    assert means_over_levels(statistics, ['edge'], [1, 2]) == pytest.approx({'edge/entropy': 0.3, 'edge/memory': 0.15})
    del statistics['edge/level_1/memory'], statistics['edge/level_2/memory']
    assert list(means_over_levels(statistics, ['edge'], [1, 2])) == ['edge/entropy']


def test_the_picture_shows_the_mean_gates():
    run = look(GateHook(interval=1), output([0.5, 0.2, 0.3], [0.1, 0.2, 0.7]), 0)
    means = np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7]], np.float32).reshape(2, 1, 3, 1, 1)
    assert np.array_equal(run.pictures['gates'], draw_gates(means, ('semseg', 'edge'), height=48))


class Run:
    """What the hook needs of a runner."""

    def __init__(self, iteration):
        self.iter, self.visualizer, self.scalars, self.pictures = iteration, self, {}, {}

    def add_scalars(self, scalars, step):
        self.scalars[step] = scalars

    def add_picture(self, name, picture, step):
        self.pictures[name] = picture


def look(hook, result, iteration):
    run = Run(iteration)
    hook.before_train_iter(run, 0)
    hook._note(torch.nn.Identity().train(), None, result)
    hook.after_train_iter(run, 0)
    return run


@pytest.fixture
def messages(monkeypatch):
    """What is printed to the log."""
    printed = []
    monkeypatch.setattr('mtl.engine.hooks.gates.print_log', lambda message, logger, level: printed.append(message))
    return printed


def test_a_dead_expert_is_warned_of_once(messages):
    hook = GateHook(interval=1, begin=1)
    for iteration in range(2):
        look(hook, output([0.5, 1e-4, 0.4999], [0.6, 1e-3, 0.399]), iteration)
    (message,) = messages
    assert 'expert_2 of level 1 is dead' in message


def test_an_expert_that_one_task_uses_is_alive(messages):
    look(GateHook(interval=1, begin=1), output([0.5, 1e-4, 0.4999], [0.6, 0.2, 0.2]), 0)
    assert not messages


def test_a_collapsed_gate_is_warned_of_once(messages):
    hook = GateHook(interval=1, begin=1)
    for iteration in range(2):
        look(hook, output([1.0 - 2e-4, 1e-4, 1e-4], [0.4, 0.3, 0.3]), iteration)
    (message,) = messages
    assert 'gate of semseg at level 1 has collapsed' in message


def test_it_looks_at_intervals_and_warns_after_the_beginning(messages):
    hook = GateHook(interval=2, begin=4)
    dead = output([0.5, 1e-4, 0.4999], [0.6, 1e-3, 0.399])
    assert [bool(look(hook, dead, iteration).scalars) for iteration in range(3)] == [False, True, False]
    assert not messages
    assert 4 in look(hook, dead, 3).scalars
    assert messages


DECODER = """
    model['decoder'] = dict(
        _delete_=True, type='TaskExpertDecoder', channels=8, experts=2, balance_weight=0.1, deep_supervision=0.5
    )
    default_hooks['gates'] = dict(interval=2)
"""


@pytest.mark.slow
def test_a_run_writes_gates_and_the_loss_that_balances_them(write_config, run_tool, tmp_path):
    config = write_config(tmp_path / 'run.py', DECODER)
    done = run_tool('train.py', config, '--work-dir', tmp_path / 'run', '--cfg-options', 'train_cfg.max_epochs=1')
    assert done.returncode == 0, done.stderr
    (log,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    gates = next(line for line in lines if 'gates/semseg/level_1/memory' in line)
    for task in ('semseg', 'human_parts', 'saliency', 'normals', 'edge'):
        choices = [gates[f'gates/{task}/level_2/{choice}'] for choice in ('expert_1', 'expert_2', 'memory')]
        assert sum(choices) == pytest.approx(1.0, abs=1e-5)
    assert 0 < gates['gates/edge/level_1/entropy'] <= 1
    assert any('loss/gate_balance' in line for line in lines)
