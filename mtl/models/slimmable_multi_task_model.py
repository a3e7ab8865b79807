"""A multi-task model that runs at many widths, trained once for all of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mtl.models.multi_task_model import MultiTaskModel
from mtl.models.slimmable.axes import WidthTable, at_width
from mtl.models.slimmable.distillation import Pyramid, feature_distance, teacher_of
from mtl.models.slimmable.sorting import permute_units, sort_by_importance
from mtl.models.slimmable.statistics import declare_statistics
from mtl.models.slimmable.width import WidthConfig, WidthError, WidthSpace
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample, PyramidFeatures


@MODELS.register_module()
class SlimmableMultiTaskModel(MultiTaskModel):
    """A :class:`MultiTaskModel` of which any width of a space can run (ECMT, ICCV 2023, arXiv 2308.11744).

    The paper states: encoder and decoders of slimmable width, each on its own; features of any encoder pulled towards
    those of the largest (CI-KD); the super-network trained together with sub-networks. The rest is our reading: what
    slims (:mod:`mtl.models.slimmable.axes`), sorting by importance before training, and the training step. The step
    is the sandwich (Yu and Huang, ICCV 2019): the full width, whose features are the teacher; the smallest; some drawn
    at random.

    One optimizer step takes the sum of their gradients, and the graph of only one is in memory at a time.

    The first ``begin`` steps train the full width alone, a third of the work: narrow networks learn quicker from a full
    one that knows something (progressive shrinking: Cai et al., Once-for-All, ICLR 2020; as a warm-up, ours). Units are
    sorted when the network is built and, by what it has learnt since, once more at the first sandwich.

    Which widths are drawn depends on the number of steps taken, which the state dict holds: all processes draw the
    same, and so does a resumed run.

    Args:
        slimming: ``None`` to train the full width only; or ``encoder``, ``decoder``: allowed ratios, see
            :class:`WidthSpace`; ``samples``: random widths per step (2); ``begin``: steps before the first sandwich
            (0); ``distillation_weight``: weight of CI-KD at each width but the full (1.0); ``multiple``: MLP units and
            decoder channels are rounded to multiples of it (8); ``sort``: ``False`` keeps the order of the units, for
            starting weights that were trained at all widths already (``True``).
        kwargs: see :class:`MultiTaskModel`.

    Attributes:
        space: the widths it is trained for.
        width: at which it runs now; ``None`` for all its parameters.
    """

    width: WidthConfig | None = None

    def __init__(self, slimming: Mapping | None, **kwargs) -> None:
        super().__init__(**kwargs)
        one_width = dict(encoder=(1.0,), decoder=(1.0,), samples=0)
        options = dict(samples=2, begin=0, distillation_weight=1.0, multiple=8, sort=True)
        options |= dict(slimming or one_width)
        self.samples, self.begin, self.multiple = (options.pop(key) for key in ('samples', 'begin', 'multiple'))
        self.distillation_weight, self.sort = (options.pop(key) for key in ('distillation_weight', 'sort'))
        for name, least in (('samples', 0), ('begin', 0), ('multiple', 1), ('distillation_weight', 0)):
            if not getattr(self, name) >= least:
                raise WidthError(f'slimming.{name} is at least {least}; found {getattr(self, name)}.')
        for part in (self.backbone, self.decoder):
            if not hasattr(part, 'width_table'):
                raise WidthError(f'{type(part).__name__} does not say what slims in it (`width_table`).')
        self.space = WidthSpace(len(self.backbone.channels), tuple(self.tasks), **options)
        self.register_buffer('steps', torch.tensor(0))
        table = self.width_table()
        if self.sort:
            sort_by_importance(self, table)
        # former places of the units that the first sandwich moved, group by group
        self.register_buffer('unit_order', _places(table))
        self.register_load_state_dict_pre_hook(_with_unit_order)
        modules = dict(self.named_modules())
        for name, group in table.norms.items():
            ratios = self.space.decoder
            if isinstance(ratios, float):
                raise WidthError(
                    f'{name} is a BatchNorm, which needs running statistics for every width: list the decoder ratios '
                    f'instead of allowing any from {ratios:g} on, or use a norm without running statistics.'
                )
            declare_statistics(modules[name], map(group.length_at, ratios))

    # ---- width ----------------------------------------------------------------------------------------------------

    def width_table(self) -> WidthTable:
        """What slims, by names of the state dict. Not inside :meth:`at_width`."""
        table = WidthTable()
        table.add('backbone', self.backbone.width_table(self.multiple))
        table.add('decoder', self.decoder.width_table(self.multiple))
        for task, channels in table.outputs.items():
            table.add_linear(f'heads.{task}', self.heads[task], into=channels)
        return table

    def move_units(self, state: Mapping[str, Tensor]) -> None:
        """Move the units of this new network to the order that ``state`` was saved in.

        The first sandwich of a run sorts the units of the frozen base, too. A checkpoint without the base says in
        ``unit_order`` how they were sorted.
        """
        table = self.width_table()
        if 'unit_order' in state:
            wanted = state['unit_order'].to(self.unit_order.device)
            split = [group.size for group in table.importance]
            moves = [
                now.argsort()[then] for now, then in zip(self.unit_order.split(split), wanted.split(split), strict=True)
            ]
            permute_units(self, table, dict(zip(table.importance, moves, strict=True)))
            self.unit_order.copy_(wanted)

    @contextmanager
    def at_width(self, width: str | Mapping | WidthConfig) -> Iterator[WidthConfig]:
        """Run at ``width`` inside the ``with``, see :func:`mtl.models.slimmable.axes.at_width`.

        Args:
            width: a width, ``'full'``, ``'small'``, a JSON file, or the config form.

        A width that names some of the tasks only lets no others run.

        Raises:
            WidthError: the width is not of :attr:`space`, or another one runs already.
        """
        if self.width is not None:
            raise WidthError(f'The network runs at a width already: {self.width}.')
        width = self.space.named(width)
        with at_width(self, self.width_table(), width):
            self.width = width
            try:
                yield width
            finally:
                self.width = None

    def extract(self, inputs: Tensor, tasks: Sequence[str]) -> PyramidFeatures:
        """See :meth:`MultiTaskModel.extract`.

        Raises:
            WidthError: the present width has no ratio for a task.
        """
        if self.width is not None:
            self.width.for_tasks(tasks)
        return super().extract(inputs, tasks)

    # ---- training -------------------------------------------------------------------------------------------------

    def sandwich(self) -> list[tuple[str, WidthConfig]]:
        """Names and widths of the current step: ``full``; from step ``begin`` on ``small``, and ``random`` ones."""
        ends = [('full', self.space.full), ('small', self.space.small)]
        if self.steps < self.begin or self.space.small == self.space.full:
            ends = ends[:1]
        if self.steps < self.begin:
            return ends
        draw = random.Random(int(self.steps))
        drawn = [('random', self.space.sample(draw)) for _ in range(self.samples)]
        return [*ends, *drawn]

    def forward(
        self, inputs: Tensor, data_samples=None, mode: str = 'tensor', tasks=None, teacher: Pyramid | None = None
    ):
        """See :meth:`MultiTaskModel.forward`; ``mode='distill'`` is one pass of the sandwich, see :meth:`distill`."""
        if mode == 'distill':
            return self.distill(inputs, data_samples, teacher)
        return super().forward(inputs, data_samples, mode, tasks)

    def distill(
        self, inputs: Tensor, data_samples: list[MultiTaskDataSample], teacher: Pyramid | None
    ) -> tuple[dict[str, Tensor], Pyramid | None]:
        """Losses of one width; with a ``teacher`` also ``distillation``, without one also the features as teacher."""
        features = self.extract(inputs, self.active_tasks)
        losses = self.weighted_losses(
            self.decode_features(features, self.active_tasks), data_samples, inputs.shape[-2:]
        )
        if teacher is None:
            return losses, teacher_of(features)
        losses['distillation'] = self.distillation_weight * feature_distance(features, teacher)
        return losses, None

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """See :meth:`sandwich_step`."""
        return self.sandwich_step(data, optim_wrapper, self)

    def sandwich_step(self, data: dict, optim_wrapper: OptimWrapper, network: nn.Module) -> dict[str, Tensor]:
        """One step of training at all widths.

        Args:
            data: a batch of the data loader.
            optim_wrapper: to it, the passes of the sandwich are one.
            network: this model, or what wraps it in distributed training; then gradients are exchanged in the last
                pass only.

        Returns:
            What is logged: ``loss`` and ``loss/<task>`` of the full width; ``width/small/loss``,
            ``width/small/distillation``, and the same of ``width/random``, means of the drawn widths.
        """
        if self.sort and self.steps == self.begin:
            moves = sort_by_importance(self, self.width_table(), optim_wrapper.optimizer)
            before = self.unit_order.split([group.size for group in moves])
            self.unit_order = torch.cat([places[move] for places, move in zip(before, moves.values(), strict=True)])
        data = self.data_preprocessor(data, True)
        sandwich, teacher, logs = self.sandwich(), None, {}
        for index, (name, width) in enumerate(sandwich):
            last = index + 1 == len(sandwich)
            exchange = nullcontext() if last or not hasattr(network, 'no_sync') else network.no_sync()
            with exchange, self.at_width(width):
                with optim_wrapper.optim_context(network):
                    losses, features = network(**data, mode='distill', teacher=teacher)
                loss, log = self.parse_losses(losses)
                if last:
                    optim_wrapper.update_params(loss)
                else:
                    _backward(optim_wrapper, loss)
            teacher = features if teacher is None else teacher
            logs.setdefault(name, []).append(log)
        self.steps += 1
        return _log_of(logs)


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


def _with_unit_order(model: nn.Module, state: dict[str, Tensor], prefix: str, *others) -> None:
    """Units are where building put them, unless a state dict says otherwise."""
    state.setdefault(f'{prefix}unit_order', _places(model.width_table()))


def _places(table: WidthTable) -> Tensor:
    return torch.cat([torch.arange(group.size) for group in table.importance])
