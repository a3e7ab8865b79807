"""The sandwich: one step of training for all widths of a network."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mtl.losses import feature_distance, teacher_of
from mtl.losses.feature_distillation import Pyramid
from mtl.models import MultiTaskModel
from mtl.models.slimmable import WidthConfig, WidthError
from mtl.protocols import TrainPolicy
from mtl.registry import TRAIN_POLICIES


@TRAIN_POLICIES.register_module()
class Sandwich(TrainPolicy):
    """Trains the full width, the smallest and some drawn at random, in each step.

    The sandwich is that of Yu and Huang (ICCV 2019, arXiv 1903.05134); that the super-network is trained together with
    sub-networks, whose features the full one teaches (CI-KD, :func:`mtl.losses.feature_distance`), is stated by ECMT
    (Aich et al., ICCV 2023, arXiv 2308.11744). One step of the optimizer takes the sum of the gradients of all passes,
    and the graph of only one is in memory at a time.

    The first ``begin`` steps train the full width alone, a third of the work: narrow networks learn quicker from a full
    one that knows something (progressive shrinking: Cai et al., Once-for-All, ICLR 2020; as a warm-up, ours). Units are
    sorted once more, by what the network has learnt since it was built, at the first sandwich.

    Which widths are drawn depends on the number of steps taken, which the state dict of the model holds: all processes
    draw the same, and so does a resumed run.

    Args:
        samples: random widths per step.
        begin: steps before the first sandwich.
        distillation_weight: weight of CI-KD at each width but the full.

    Raises:
        WidthError: a number below 0.
    """

    def __init__(self, samples: int = 2, begin: int = 0, distillation_weight: float = 1.0) -> None:
        for name, value in (('samples', samples), ('begin', begin), ('distillation_weight', distillation_weight)):
            if not value >= 0:
                raise WidthError(f'slimming.{name} is at least 0; found {value}.')
        self.samples, self.begin, self.distillation_weight = samples, begin, distillation_weight

    def widths(self, model: MultiTaskModel) -> list[tuple[str, WidthConfig]]:
        """Names and widths of the current step: ``full``; from step ``begin`` on ``small``, and ``random`` ones."""
        space, step = model.space, int(model.steps)
        if step < self.begin:
            return [('full', space.full)]
        ends = [('full', space.full)] if space.single else [('full', space.full), ('small', space.small)]
        draw = random.Random(step)
        return [*ends, *(('random', space.sample(draw)) for _ in range(self.samples))]

    def step(
        self, model: MultiTaskModel, data: dict, optim_wrapper: OptimWrapper, network: nn.Module
    ) -> dict[str, Tensor]:
        """See :meth:`mtl.protocols.TrainPolicy.step`.

        To the optimizer's wrapper, the passes are one. Distributed training exchanges gradients in the last one only.

        Returns:
            ``loss`` and ``loss/<task>`` of the full width; ``width/small/loss``, ``width/small/distillation``, and the
            same of ``width/random``, means of the drawn widths.
        """
        if model.sort and model.steps == self.begin:
            model.sort_units(optim_wrapper.optimizer)
        data = model.data_preprocessor(data, True)
        widths, teacher, logs = self.widths(model), None, {}
        for index, (name, width) in enumerate(widths):
            last = index + 1 == len(widths)
            exchange = nullcontext() if last or network is model else network.no_sync()
            with exchange, model.at_width(width):
                with optim_wrapper.optim_context(network):
                    losses, teacher = self._losses(network, data, teacher)
                loss, log = model.parse_losses(losses)
                if last:
                    optim_wrapper.update_params(loss)
                else:
                    _backward(optim_wrapper, loss)
            logs.setdefault(name, []).append(log)
        model.steps += 1
        return _log_of(logs)

    def _losses(self, network: nn.Module, data: dict, teacher: Pyramid | None) -> tuple[dict[str, Tensor], Pyramid]:
        """Losses of one pass, and the features that teach; those of the first pass, which has no teacher."""
        losses, features = network(**data, mode='loss_and_features')
        if teacher is None:
            return losses, teacher_of(features)
        losses['distillation'] = self.distillation_weight * feature_distance(features, teacher)
        return losses, teacher


def _backward(optim_wrapper: OptimWrapper, loss: Tensor) -> None:
    """A backward pass that is not the step's last: the wrapper counts backward passes to know when to step."""
    count = optim_wrapper._inner_count
    optim_wrapper.backward(optim_wrapper.scale_loss(loss))
    optim_wrapper._inner_count = count


def _log_of(logs: Mapping[str, Sequence[Mapping[str, Tensor]]]) -> dict[str, Tensor]:
    (full,) = logs['full']
    result = dict(full)
    for name, of_widths in logs.items():
        if name != 'full':
            distillation = torch.stack([log['distillation'].detach() for log in of_widths]).mean()
            total = torch.stack([log['loss'].detach() for log in of_widths]).mean()
            result |= {f'width/{name}/loss': total - distillation, f'width/{name}/distillation': distillation}
    return result
