"""Folding low-rank updates into the weights they update, exactly, and taking them out again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import Self

from mtl.models.adapters.task_linear import TaskLinear
from mtl.models.dense import plain_layer
from mtl.protocols import AdapterLayer, Axis, MergeError, adapter_layers

SHARED = 'shared'


class Mergeable(AdapterLayer):
    """A layer whose updates can be added to its weight; mixed into an ``nn.Linear`` or ``nn.Conv2d``, before it.

    After ``merge()``, ``weight`` is ``W + dW`` and calling the layer is one plain product. ``W`` is kept beside it, as
    :attr:`base_weight`: task outputs may need it, ``unmerge()`` restores it bit for bit, and the state dict holds it,
    so that a checkpoint never contains an update twice. Merging is for evaluation: ``train()`` undoes it.

    Attributes:
        merged: what ``weight`` holds: ``None`` for ``W`` alone, ``'shared'``, or the name of a task.
    """

    weight: Tensor
    kept_weight: Tensor | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.merged: str | None = None
        self.register_buffer('kept_weight', None, persistent=False)

    @abstractmethod
    def delta_weight(self, task: str | None = None) -> Tensor:
        """The update of the weight, of its shape: the shared one, or that of ``task``."""

    def why_unmergeable(self, task: str | None = None) -> str | None:
        """See :class:`AdapterLayer`: every task can be merged by default."""
        return None

    @abstractmethod
    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`. Here: of what merging keeps; a subclass adds its own tensors."""
        return {'kept_weight': {0: out, 1: into}}

    @property
    def base_weight(self) -> Tensor:
        """``W``, ``[out, in]``, whatever is merged into ``weight``."""
        return self.weight if self.kept_weight is None else self.kept_weight

    def weight_of(self, task: str | None = None) -> Tensor:
        """``W + dW``: with the shared update, or with that of ``task``, one of :attr:`tasks`."""
        if self.merged == (SHARED if task is None else task):
            return self.weight
        return self.base_weight + self.delta_weight(task)

    @torch.no_grad()
    def merge(self, task: str | None = None) -> None:
        """Fold the shared update into ``weight``, or the update of ``task``.

        A task without an update of its own here reads the shared stream: then the shared update is folded.

        Raises:
            MergeError: no single weight gives the output; nothing was changed.
        """
        self.unmerge()
        reason = self.why_unmergeable(task)
        if reason is not None:
            raise MergeError(reason)
        own = task if task is not None and task in self.tasks else None
        delta = self.delta_weight(own)
        self.eval()
        self.kept_weight = self.weight.detach().clone()
        self.weight.add_(delta)
        self.merged = SHARED if own is None else own

    @torch.no_grad()
    def folded(self, tasks: Sequence[str]) -> nn.Module:
        """See :class:`AdapterLayer`: one plain layer, or a :class:`TaskLinear` of ``tasks``."""
        self.unmerge()
        plain = plain_layer(self, self.weight_of())
        if not tasks:
            return plain
        if not isinstance(plain, nn.Linear):
            raise MergeError(
                f'{type(self).__name__} has updates of {", ".join(tasks)}; only a linear layer keeps a weight per task.'
            )
        branches = TaskLinear(plain, tasks)
        for task in tasks:
            branches.tasks[task].copy_(self.weight_of(task))
        return branches

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore ``W``, bit for bit. Nothing happens where nothing is merged."""
        if self.kept_weight is not None:
            self.weight.copy_(self.kept_weight)
            self.kept_weight = self.merged = None

    def train(self, mode: bool = True) -> Self:
        """Training goes on with the updates as factors."""
        if mode:
            self.unmerge()
        return super().train(mode)

    def _save_to_state_dict(self, destination: dict, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.kept_weight is not None:
            destination[f'{prefix}weight'] = self.kept_weight

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.unmerge()
        super()._load_from_state_dict(*args, **kwargs)


@dataclass
class MergeReport:
    """What :func:`merge_adapters` did.

    Args:
        merged: names of the layers whose update was folded.
        kept: the others, with the reason.
    """

    merged: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.kept.items():
            by_reason.setdefault(reason, []).append(name)
        lines = [f'{len(self.merged)} of {len(self.merged) + len(self.kept)} adapter layers merged.']
        lines += [f'Not merged, {len(names)} ({", ".join(names)}): {why}' for why, names in by_reason.items()]
        return '\n'.join(lines)


def merge_adapters(model: nn.Module, task: str | None = None) -> MergeReport:
    """Merge every adapter layer below ``model`` that can be merged; the outputs stay the same. Sets evaluation mode.

    Args:
        model: network.
        task: fold this task's updates where it has its own, instead of the shared ones.
    """
    model.eval()
    report = MergeReport()
    for name, layer in adapter_layers(model):
        reason = layer.why_unmergeable(task)
        if reason is None:
            layer.merge(task)
            report.merged.append(name)
        else:
            report.kept[name] = reason
    return report


def unmerge_adapters(model: nn.Module) -> None:
    """Undo :func:`merge_adapters`, bit for bit."""
    for layer in model.modules():
        if isinstance(layer, Mergeable):
            layer.unmerge()
