"""Networks whose adapters are folded into plain linear layers, for deployment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.models.adapters.injection import of_stage
from mtl.models.adapters.merging import Mergeable
from mtl.models.adapters.mtlora import MTLoRALinear
from mtl.models.adapters.stream_layer import StreamLayer
from mtl.models.dense import Linear
from mtl.ops.linear import linear
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams
from mtl.registry import MODELS

STREAM_TARGETS = ('proj', 'fc1', 'fc2')  # layers that task streams pass


class TaskLinear(StreamLayer, Linear):
    """A linear layer with a weight of its own for the stream of each task; the bias is shared.

    What :class:`MTLoRALinear` with ``base_input='task'`` becomes when all its updates are folded.

    Args:
        base: the layer of the shared stream.
        tasks: names of the tasks.
    """

    def __init__(self, base: nn.Linear, tasks: Iterable[str]) -> None:
        super().__init__(base)
        self.tasks = nn.ParameterDict({task: nn.Parameter(base.weight.detach().clone()) for task in tasks})

    def forward(
        self, x: Tensor | Streams, tasks: tuple[str, ...] = (), keep_shared: bool = True, gelu: bool = False
    ) -> Tensor | Streams:
        """See :class:`StreamLayer`."""
        if isinstance(x, Tensor):
            return linear(x, self.weight, self.bias, gelu)
        if not any(task in self.tasks for task in tasks):
            return x.map(partial(self, gelu=gelu), keep_shared)
        own = x.shared.expand(len(tasks), *x.shared.shape) if x.own is None else x.own.dense()
        own = [linear(stream, self.tasks[task], self.bias, gelu) for stream, task in zip(own, tasks, strict=True)]
        shared = linear(x.shared, self.weight, self.bias, gelu) if keep_shared else None
        return Streams(shared, LowRankStreams.of_rank_0(torch.stack(own)))


@MODELS.register_module()
class TaskWeights:
    """Placement of :class:`TaskLinear`: last block of each stage.

    Args:
        streams: names of the tasks with weights of their own, one list a stage.
        targets: layers, among ``proj fc1 fc2``.
    """

    def __init__(self, streams: Sequence[Sequence[str]], targets: Iterable[str] = STREAM_TARGETS) -> None:
        self.streams, self.targets = streams, tuple(targets)

    def adapt(
        self, layer: nn.Linear, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Linear:
        """See :meth:`mtl.models.adapters.MTLoRA.adapt`."""
        own = [task for task in tasks if task in self.streams[stage]]
        return TaskLinear(layer, own) if own and last and target in self.targets else layer


@torch.no_grad()
def fold_adapters(backbone: nn.Module, tasks: Iterable[str]) -> dict[str, str]:
    """Replace every adapter layer below ``backbone`` by plain linear ones where that is exact for ``tasks``, in place.

    Returns:
        Names of the layers that had to stay, with the reason.
    """
    kept = {}
    for parent_name, parent in list(backbone.named_modules()):
        for child_name, layer in list(parent.named_children()):
            if isinstance(layer, Mergeable):
                plain = _plain(layer, tasks)
                if isinstance(plain, nn.Module):
                    setattr(parent, child_name, plain)
                else:
                    kept[f'{parent_name}.{child_name}'.lstrip('.')] = plain
    return kept


def _plain(layer: Mergeable, tasks: Iterable[str]) -> nn.Linear | str:
    """The plain layer, or why there is none."""
    own = [task for task in tasks if task in layer.tasks]
    for task in (None, *own):
        reason = layer.why_unmergeable(task)
        if reason is not None:
            return reason
    layer.unmerge()
    weight = layer.weight
    plain = Linear(layer)
    plain.weight = nn.Parameter(weight + layer.delta_weight())
    if not own:
        return plain
    branches = TaskLinear(plain, own)
    for task in own:
        branches.tasks[task].copy_(weight + layer.delta_weight(task))
    return branches


def folding_report(kept: Mapping[str, str]) -> str:
    """Which layers :func:`fold_adapters` kept, and why."""
    if not kept:
        return 'All adapters are folded into plain layers.'
    lines = []
    for reason in dict.fromkeys(kept.values()):
        lines += [f'Not folded: {reason}', *(f'  {name}' for name, why in kept.items() if why == reason)]
    return '\n'.join(lines)


def folded_options(backbone: nn.Module, adapters: Mapping) -> dict | None:
    """The ``adapters`` option that builds what :func:`fold_adapters` left of ``backbone``.

    Args:
        backbone: the folded backbone.
        adapters: the option it was built with.
    """
    stages = backbone.swin.layers
    remaining = [any(isinstance(layer, MTLoRALinear) for layer in stage.modules()) for stage in stages]
    if any(remaining):
        built = MODELS.build({'type': 'MTLoRA', **adapters})
        rank = [of_stage(built.rank, index) if here else 0 for index, here in enumerate(remaining)]
        targets = [target for target in built.targets if target in STREAM_TARGETS]
        return {**adapters, 'rank': rank, 'targets': targets, 'blocks': 'last'}
    if any(isinstance(layer, Mergeable) for layer in backbone.modules()):
        return dict(adapters)
    branches = {name: layer for name, layer in backbone.named_modules() if isinstance(layer, TaskLinear)}
    if not branches:
        return None
    streams = []
    for stage in stages:
        first = next((layer for layer in stage.modules() if isinstance(layer, TaskLinear)), None)
        streams.append(list(first.tasks) if first is not None else [])
    targets = [target for target in STREAM_TARGETS if any(name.endswith(f'.{target}') for name in branches)]
    return dict(type='TaskWeights', streams=streams, targets=targets)


def fold_model(model: nn.Module, config: Config, tasks: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Fold the adapters of ``model`` and make ``config`` that of the result, both in place.

    Args:
        model: built with ``config``.
        config: of a run.
        tasks: for which folding must be exact.

    Returns:
        The weights that fit ``config`` now, and names of the layers that had to stay, with the reason.
    """
    kept = fold_adapters(model.backbone, tasks)
    backbone = config.model.backbone
    backbone.adapters = folded_options(model.backbone, backbone.get('adapters'))
    wanted = build_for_checkpoint(config).state_dict()
    return {key: value for key, value in model.state_dict().items() if key in wanted}, kept
