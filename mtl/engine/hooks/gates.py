"""A look at the gates of a mixture of experts while it trains."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor

from mtl.engine.unwrapping import unwrapped
from mtl.protocols import DecoderOutput
from mtl.registry import HOOKS
from mtl.visualization import draw_gates


def mean_gates(output: DecoderOutput) -> list[Tensor]:
    """``[T, N]`` of every level: means over images and pixels."""
    return [gates.mean((1, 2, 3)) for gates in output.gates]


def gate_statistics(output: DecoderOutput) -> dict[str, float]:
    """What the gates of a batch say, by name.

    ``<task>/level_<l>/<choice>`` is the mean gate; ``<task>/level_<l>/entropy`` the mean entropy of the gates, 1 where
    all are equal, 0 where one takes all; ``load/level_<l>/<choice>`` the mean gate over the tasks. Levels count from 1.
    """
    statistics = {}
    for level, (gates, means) in enumerate(zip(output.gates, mean_gates(output), strict=True), start=1):
        entropies = torch.special.entr(gates).sum(-1).mean((1, 2, 3)) / math.log(max(2, gates.shape[-1]))
        for task, mean, entropy in zip(output.maps, means.tolist(), entropies.tolist(), strict=True):
            for choice, value in zip(output.choices, mean, strict=True):
                statistics[f'{task}/level_{level}/{choice}'] = value
            statistics[f'{task}/level_{level}/entropy'] = entropy
        for choice, value in zip(output.choices, means.mean(0).tolist(), strict=True):
            statistics[f'load/level_{level}/{choice}'] = value
    return statistics


def means_over_levels(statistics: dict[str, float], tasks: Iterable[str], levels: Sequence[int]) -> dict[str, float]:
    """``<task>/entropy`` and, where there is one, ``<task>/memory``, of :func:`gate_statistics`."""
    means = {}
    for task in tasks:
        for name in ('entropy', 'memory'):
            values = [statistics.get(f'{task}/level_{level}/{name}') for level in levels]
            if None not in values:
                means[f'{task}/{name}'] = sum(values) / len(values)
    return means


def draw_means(output: DecoderOutput) -> np.ndarray:
    """Picture of the mean gates of a batch, see :func:`mtl.visualization.draw_gates`."""
    means = torch.stack(mean_gates(output), dim=1)
    return draw_gates(means[..., None, None], tuple(output.maps), 'memory' in output.choices, height=48)


@HOOKS.register_module()
class GateHook(Hook):
    """Write :func:`gate_statistics` to the log of scalars as ``gates/...``, and warn of what goes wrong.

    TensorBoard gets the picture ``gates`` of all mean gates, and curves ``routing/<task>/entropy`` and
    ``routing/<task>/memory`` (means over the levels) per task.

    An expert is dead where no task's mean gate reaches ``dead``; a gate has collapsed where its entropy is below
    ``collapsed``: one choice takes nearly all of every pixel. Each is warned of once. Decoders without gates are left
    alone.

    Args:
        interval: iterations between two looks.
        dead: share of the even load ``1 / N`` below which an expert counts as dead.
        collapsed: normalised entropy.
        begin: iterations before the first warning; gates need time to find their experts.
    """

    priority = 'NORMAL'

    def __init__(self, interval: int = 50, dead: float = 0.02, collapsed: float = 0.05, begin: int = 200) -> None:
        self.interval, self.dead, self.collapsed, self.begin = interval, dead, collapsed, begin
        self._output: DecoderOutput | None = None
        self._looks = False
        self._warned: set[str] = set()

    def before_run(self, runner) -> None:
        model = unwrapped(runner.model)
        decoder = getattr(model, 'decoder', None)
        if decoder is not None:
            decoder.register_forward_hook(self._note)

    def _note(self, decoder, inputs, output) -> None:
        """Keep the first output of an iteration that is looked at."""
        if self._looks and decoder.training and isinstance(output, DecoderOutput) and output.gates:
            self._output, self._looks = output, False

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        self._looks = (runner.iter + 1) % self.interval == 0

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self._output is None:
            return
        statistics, choices = gate_statistics(self._output), self._output.choices
        tasks, levels = tuple(self._output.maps), range(1, len(self._output.gates) + 1)
        picture = draw_means(self._output)
        self._output = None
        step = runner.iter + 1
        scalars = {**statistics, **means_over_levels(statistics, tasks, levels)}
        runner.visualizer.add_scalars({f'gates/{name}': value for name, value in scalars.items()}, step=step)
        runner.visualizer.add_picture('gates', picture, step)
        if step < self.begin:
            return
        for level in levels:
            for choice in choices:
                most = max(statistics[f'{task}/level_{level}/{choice}'] for task in tasks)
                if most < self.dead / len(choices):
                    self._warn(
                        f'{choice} of level {level} is dead: no task gives it more than {most:.1e}. A larger '
                        'model.decoder.balance_weight keeps experts in use; fewer experts cost less.'
                    )
            for task in tasks:
                entropy = statistics[f'{task}/level_{level}/entropy']
                if entropy < self.collapsed and len(choices) > 1:
                    self._warn(
                        f'The gate of {task} at level {level} has collapsed: its entropy is {entropy:.1e} of the most '
                        'possible, so that one choice takes nearly all. A larger model.decoder.balance_weight or a '
                        'smaller learning rate may help.'
                    )

    def _warn(self, message: str) -> None:
        key = message.split(':')[0]
        if key not in self._warned:
            self._warned.add(key)
            print_log(message, logger='current', level=logging.WARNING)
