"""The whole flow on one page: image -> backbone -> neck -> decoder -> heads -> task losses or task predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine import dist
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mtl.losses import LossWeighting
from mtl.models.containers import ModuleDict
from mtl.models.neck import neck
from mtl.models.reachability import freeze_unreachable
from mtl.models.slimmable.network import SlimmableNetwork
from mtl.ops.layout import laid_out
from mtl.ops.upsample import upsampled_strips
from mtl.protocols import Backbone, Decoder, DecoderOutput, TrainPolicy, check_contract
from mtl.registry import MODELS, TRAIN_POLICIES
from mtl.structures import SHARED, MultiTaskDataSample, PyramidFeatures
from mtl.tasks import Task, build_tasks, select_tasks

WIDTH_OPTIONS = ('encoder', 'decoder', 'multiple', 'sort')


@MODELS.register_module()
class MultiTaskModel(SlimmableNetwork, BaseModel):
    """One network, one dense map per task, at any width of a space that holds one width by default.

    Args:
        tasks: ``{name: config}``, see :mod:`mtl.tasks`.
        backbone: config of a backbone that returns :class:`PyramidFeatures`.
        decoder: config of a decoder, :class:`mtl.protocols.DecoderInput` to :class:`DecoderOutput`.
        loss_weighting: config of a :class:`mtl.losses.LossWeighting`; the tasks' own fixed weights by default.
        data_preprocessor: config of the preprocessor; it is given the tasks and, unless it states its own, the mean and
            std of the pixels that the backbone's weights were trained with.
        init_cfg: what a training run starts from, see :class:`mtl.engine.starting_weights.FromCheckpoint`.
        slimming: ``None`` for one width; else the widths, by the options of :meth:`SlimmableNetwork.slim`, and how they
            are trained, by those of :class:`mtl.engine.sandwich.Sandwich`. ``type`` names another policy.

    Attributes:
        active_tasks: the tasks that run where a call does not say which.
        policy: what a step of training is made of; ``None`` for MMEngine's own step.
    """

    policy: TrainPolicy | None = None
    data_preprocessor: BaseDataPreprocessor

    def __init__(
        self,
        tasks: Mapping[str, dict | Task],
        backbone: dict,
        decoder: dict,
        loss_weighting: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        slimming: Mapping | None = None,
    ) -> None:
        built_tasks = build_tasks(tasks)
        names = tuple(built_tasks)
        built_backbone = MODELS.build({'tasks': names, **backbone})
        check_contract(built_backbone, Backbone)
        if data_preprocessor:
            statistics = dict(mean=built_backbone.pixel_mean, std=built_backbone.pixel_std)
            data_preprocessor = MODELS.build({'tasks': built_tasks, **statistics, **data_preprocessor})
        super().__init__(data_preprocessor, init_cfg)
        self.tasks = built_tasks
        self.active_tasks = names
        self.backbone = built_backbone
        self.decoder = MODELS.build({'tasks': names, 'in_channels': self.backbone.channels, **decoder})
        check_contract(self.decoder, Decoder)
        self.heads = ModuleDict(
            {
                name: nn.Conv2d(self.decoder.out_channels[name], task.out_channels, 1)
                for name, task in self.tasks.items()
            }
        )
        self.loss_weighting = MODELS.build({'type': 'FixedWeighting', 'tasks': self.tasks, **(loss_weighting or {})})
        check_contract(self.loss_weighting, LossWeighting)
        freeze_unreachable(self, size=self.backbone.size_divisor)
        self.declare_widths()
        if slimming is not None:
            options = dict(slimming)
            widths = {key: options.pop(key) for key in WIDTH_OPTIONS if key in options}
            self.policy = TRAIN_POLICIES.build({'type': 'Sandwich', **options})
            self.slim(**widths)

    # ---- flow -----------------------------------------------------------------------------------------------------

    @property
    def reads_shared(self) -> bool:
        """Whether the shared stream is read to the end: by the decoder."""
        return self.decoder.reads_shared

    def extract(self, inputs: Tensor, tasks: Sequence[str]) -> PyramidFeatures:
        """Pyramid of streams for ``inputs`` ``[B, 3, H, W]``, sides padded to what the backbone asks for.

        The shared stream is computed to the end only where a task reads it, or :attr:`reads_shared`.

        Raises:
            WidthError: the present width has no ratio for a task.
        """
        if self.width is not None:
            self.width.for_tasks(tasks)
        height, width = inputs.shape[-2:]
        divisor = self.backbone.size_divisor
        streams = (*tasks, SHARED) if self.reads_shared else tasks
        return self.backbone(F.pad(inputs, (0, -width % divisor, 0, -height % divisor)), streams)

    def decode(self, inputs: Tensor, tasks: Sequence[str] | None = None) -> DecoderOutput:
        """What the decoder makes of normalised images ``[B, 3, H, W]`` of any size.

        Args:
            inputs: images.
            tasks: compute these tasks only; ``None`` for :attr:`active_tasks`.
        """
        tasks = self._running(tasks)
        return self.decode_features(self.extract(inputs, tasks), tasks)

    def decode_features(self, features: PyramidFeatures, tasks: Sequence[str]) -> DecoderOutput:
        """Neck and decoder on the pyramid of :meth:`extract`."""
        return self.decoder(neck(features, self.decoder, tasks), tasks)

    def logits(self, inputs: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """``{task: [B, out_channels, H, W]}`` at the resolution of ``inputs`` ``[B, 3, H, W]``; see :meth:`decode`."""
        tasks = self._running(tasks)
        levels = neck(self.extract(inputs, tasks), self.decoder, tasks)
        return self.apply_heads(self.decoder.each_map(levels, tasks), inputs.shape[-2:])

    def _running(self, tasks: Sequence[str] | None) -> tuple[str, ...]:
        return self.active_tasks if tasks is None else select_tasks(self.tasks, tasks)

    def apply_heads(self, maps: Iterable[tuple[str, Tensor]], size: Sequence[int]) -> dict[str, Tensor]:
        """Logits ``{task: [B, out_channels, H, W]}`` of tasks with their maps, for inputs of ``size`` ``(H, W)``."""
        height, width = size
        divisor = self.backbone.size_divisor
        padded = (height + -height % divisor, width + -width % divisor)
        small = {}
        for task, values in maps:
            small[task] = laid_out(self.heads[task](values))
            del values  # before the next is made
        return {
            task: F.interpolate(values, size=padded, mode='bilinear', align_corners=False)[..., :height, :width]
            for task, values in small.items()
        }

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[MultiTaskDataSample] | None = None,
        mode: str = 'tensor',
        tasks: Sequence[str] | None = None,
    ) -> dict[str, Tensor] | list[MultiTaskDataSample] | tuple[dict[str, Tensor], PyramidFeatures]:
        """``mode='loss'`` gives the losses, ``'predict'`` the samples with predictions, ``'tensor'`` the logits.

        ``'loss_and_features'`` is for policies of training; see :meth:`loss_and_features`.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples, tasks)
        if mode == 'tensor':
            return self.logits(inputs, tasks)
        if mode not in ('loss', 'loss_and_features'):
            raise ValueError(f"mode must be 'loss', 'predict' or 'tensor'; found {mode!r}.")
        if data_samples is None:
            raise ValueError(f'mode={mode!r} needs data_samples, which hold the labels; found None.')
        if mode == 'loss':
            return self.loss(inputs, data_samples, tasks)
        return self.loss_and_features(inputs, data_samples, tasks)

    # ---- training -------------------------------------------------------------------------------------------------

    def train_step(self, data: dict, optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One step of training, by the :attr:`policy` where there is one; gives what is logged."""
        if self.policy is None:
            return super().train_step(data, optim_wrapper)
        return self.policy.step(self, data, optim_wrapper, self)

    def loss(
        self, inputs: Tensor, data_samples: list[MultiTaskDataSample], tasks: Sequence[str] | None = None
    ) -> dict[str, Tensor]:
        """Weighted losses by task: ``loss/<task>``, or ``unlabelled/<task>`` where no sample has the label.

        A task's loss includes that of the decoder's intermediate maps; the decoder's own terms are named
        ``loss/<term>``. An unlabelled task's loss is an exact 0 that is connected to the task's parameters, so that
        distributed training finds a gradient for each.
        """
        return self.loss_and_features(inputs, data_samples, tasks)[0]

    def loss_and_features(
        self, inputs: Tensor, data_samples: list[MultiTaskDataSample], tasks: Sequence[str] | None = None
    ) -> tuple[dict[str, Tensor], PyramidFeatures]:
        """See :meth:`loss`; and the pyramid of :meth:`extract`, for losses of features."""
        tasks = self._running(tasks)
        features = self.extract(inputs, tasks)
        return self.weighted_losses(self.decode_features(features, tasks), data_samples, inputs.shape[-2:]), features

    def weighted_losses(
        self, output: DecoderOutput, data_samples: list[MultiTaskDataSample], size: Sequence[int]
    ) -> dict[str, Tensor]:
        """See :meth:`loss`; of what the decoder made of inputs of ``size`` ``(H, W)``."""
        labelled = {
            name: [index for index, sample in enumerate(data_samples) if sample.has_label(name)] for name in output.maps
        }
        losses = self.task_losses(output.maps, data_samples, labelled, size)
        for maps in output.intermediate:
            earlier = self.task_losses(maps, data_samples, labelled, size)
            for name, value in earlier.items():
                losses[name] = losses[name] + value * (output.intermediate_weight / len(output.intermediate))
        absent = self._absent({name: len(have) for name, have in labelled.items()})
        weighted = self.loss_weighting(losses, absent)
        log = {f'unlabelled/{n}' if n in absent else f'loss/{n}': value for n, value in weighted.items()}
        return {**log, **{f'loss/{name}': value for name, value in output.losses.items()}}

    def task_losses(
        self,
        maps: Mapping[str, Tensor],
        data_samples: list[MultiTaskDataSample],
        labelled: Mapping[str, list[int]],
        size: Sequence[int],
    ) -> dict[str, Tensor]:
        """Unweighted losses by task.

        Samples without a label do not pass the head and the upsampling, which cost as much as a small backbone.

        Args:
            maps: of the decoder, ``{task: [B, C, H, W]}``.
            data_samples: the ``B`` samples.
            labelled: indices of the samples that have a label, by task.
            size: ``(H, W)`` of the inputs.
        """
        kept = {
            name: values if len(labelled[name]) == len(values) else values[labelled[name]]
            for name, values in maps.items()
        }
        losses = {}
        for name, values in self.apply_heads(kept.items(), size).items():
            targets = [data_samples[index].label(name) for index in labelled[name]]
            target = torch.stack(targets) if targets else self.tasks[name].no_labels(values)
            losses[name] = self.tasks[name].loss(values, target)
        return losses

    def _absent(self, labelled: dict[str, int]) -> frozenset[str]:
        """Tasks without a label in the whole batch, over all processes."""
        counts = torch.tensor(list(labelled.values()), dtype=torch.int64)
        if dist.is_distributed():
            counts = counts.to(next(self.parameters()).device)
            dist.all_reduce(counts)
        return frozenset(name for name, count in zip(labelled, counts.tolist(), strict=True) if count == 0)

    def parse_losses(self, losses: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of all losses, and what is logged: unlabelled tasks enter the sum but not the log.

        Logged are the losses of the whole batch: their means over the processes of a distributed run.
        """
        total = torch.stack(list(losses.values())).sum()
        logged = {name: value for name, value in losses.items() if not name.startswith('unlabelled/')}
        logged = {'loss': total, **logged}
        if dist.is_distributed():
            means = torch.stack([value.detach().float() for value in logged.values()])
            dist.all_reduce(means, op='mean')
            logged = dict(zip(logged, means, strict=True))
        return total, logged

    # ---- inference ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def predict(
        self,
        inputs: Tensor,
        data_samples: list[MultiTaskDataSample] | None = None,
        tasks: Sequence[str] | None = None,
    ) -> list[MultiTaskDataSample]:
        """Samples with ``pred_<task>`` at their original size (``ori_shape``; the input's size where unknown)."""
        if data_samples is None:
            data_samples = [MultiTaskDataSample() for _ in inputs]
        return self.add_predictions(data_samples, self.logits(inputs, tasks))

    def add_predictions(
        self, data_samples: list[MultiTaskDataSample], logits: dict[str, Tensor]
    ) -> list[MultiTaskDataSample]:
        """Turn ``logits`` ``{task: [B, C, H, W]}`` of a padded batch into ``pred_<task>`` of each sample."""
        for index, sample in enumerate(data_samples):
            height, width = sample.get('img_shape', next(iter(logits.values())).shape[-2:])[:2]
            size = tuple(sample.get('ori_shape', (height, width))[:2])
            for name, values in logits.items():
                values = values[index : index + 1, :, :height, :width]
                maps = [self.tasks[name].predict(strip) for strip in upsampled_strips(values, size)]
                sample.set_field(torch.cat(maps, dim=-2)[0], f'pred_{name}')
        return data_samples
