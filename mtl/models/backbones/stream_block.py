"""A transformer block whose projection and MLP run on the shared stream and on those of the tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from timm.layers import GluMlp, Mlp, SwiGLU
from torch import Tensor, nn

from mtl.models import dense
from mtl.models.adapters.stream_layer import StreamLayer
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams

KnownMlp = Mlp | dense.Mlp | GluMlp | SwiGLU  # whose layers are known


class BranchEnd(NamedTuple):
    """What stands between the last layer of a residual branch and the sum.

    Attributes:
        dropout: of the layer's output.
        norm: of blocks that normalise here (post-norm), else ``None``.
        gamma: factor ``[C]`` of each channel (LayerScale), or ``None``.
        drop_path: stochastic depth.
    """

    dropout: nn.Module
    norm: nn.Module | None
    gamma: Tensor | None
    drop_path: nn.Module

    def __call__(self, streams: Streams) -> Streams:
        """``streams``, without stochastic depth, which needs the number of images."""
        streams = dropped(self.dropout, streams)
        if self.norm is not None:
            streams = streams.map(self.norm)
        return streams if self.gamma is None else streams.scaled(self.gamma)


class StreamBlock(NamedTuple):
    """The parts of a transformer block, in the order in which a stream passes them.

    The projection after attention is a pointwise linear map, so it commutes with window reverse, roll and crop. It is
    taken out of the attention, which then runs once, on the shared stream; projection and MLP see ``1 + T`` streams.
    Every stream has its own residual path; norms are shared (MTLoRA, CVPR 2024, figure 3).

    Where the frozen products of all three layers are those of the shared stream (the published form), the task
    streams differ from it by products of low rank only and are never written out (:mod:`mtl.ops.low_rank_streams`).
    In every other setting they are, after each layer. Both give the same numbers.

    Attributes:
        attend: norm and attention without its projection, ``[B, ..., C]`` to ``[B, ..., inner]``.
        proj: the projection.
        after_proj: end of the first branch.
        norm: before the MLP; ``None`` in blocks that normalise after it.
        mlp: of a kind whose layers are known.
        after_mlp: end of the second branch, with the dropout of ``mlp``.
    """

    attend: Callable[[Tensor], Tensor]
    proj: nn.Module
    after_proj: BranchEnd
    norm: nn.Module | None
    mlp: KnownMlp
    after_mlp: BranchEnd

    def run(
        self, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True
    ) -> tuple[Tensor | None, LowRankStreams | None]:
        """From the shared stream ``[B, ..., C]`` to itself and the tasks' streams, ``[T, B, ..., C]``.

        Args:
            x: input.
            tasks: tasks with a stream; without any, the second result is ``None``.
            keep_shared: compute the shared output; the first result is ``None`` without.
        """
        shape = x.shape
        attended = self.attend(x).flatten(0, -2)
        keep_proj, keep_mlp = (
            _kept(end.drop_path, 1 + len(tasks), shape, attended) for end in (self.after_proj, self.after_mlp)
        )
        branch = self.after_proj(self._through(self.proj, Streams(attended), tasks))
        streams = Streams(x.flatten(0, -2)).plus(branch, keep_proj)
        normed = streams if self.norm is None else self._form(streams.normed(self.norm), tasks)
        hidden = dropped(self.mlp.drop1, self._hidden(normed, tasks))
        if not isinstance(self.mlp.norm, nn.Identity):
            hidden = hidden.map(self.mlp.norm)
        branch = self.after_mlp(self._through(self.mlp.fc2, hidden, tasks, keep_shared))
        streams = streams.plus(branch, keep_mlp)
        shared = None if streams.shared is None else streams.shared.view(shape)
        return shared, None if streams.own is None else streams.own.low_rank().unflatten(1, shape[:-1])

    def _hidden(self, x: Streams, tasks: tuple[str, ...]) -> Streams:
        """The hidden activations of the MLP."""
        mlp = self.mlp
        if isinstance(mlp, SwiGLU):
            gate, value = (self._through(layer, x, tasks) for layer in (mlp.fc1_g, mlp.fc1_x))
            values = mlp.act(gate.stacked()) * value.stacked()
            return Streams(values[0]) if gate.own is None else Streams.split(values)
        if isinstance(mlp, GluMlp):
            return self._through(mlp.fc1, x, tasks).map(lambda rows: _gated(mlp, rows))
        if is_exact_gelu(mlp.act):
            return self._through(mlp.fc1, x, tasks, gelu=True)
        return self._through(mlp.fc1, x, tasks).map(mlp.act)

    def _through(
        self, layer: nn.Module, x: Streams, tasks: tuple[str, ...], keep_shared: bool = True, gelu: bool = False
    ) -> Streams:
        if isinstance(layer, StreamLayer):
            return self._form(layer(x, tasks, keep_shared, gelu), tasks)
        return x.map(lambda rows: F.gelu(layer(rows)) if gelu else layer(rows), keep_shared)

    def _form(self, streams: Streams, tasks: tuple[str, ...]) -> Streams:
        return streams if self.differs_by_low_rank(tasks) else streams.written_out()

    def differs_by_low_rank(self, tasks: tuple[str, ...]) -> bool:
        """Whether the streams of ``tasks`` differ from the shared one by products of low rank only."""
        mlp = self.mlp
        return (
            len(tasks) > 0
            and isinstance(mlp, (Mlp, dense.Mlp))
            and all(
                isinstance(layer, StreamLayer) and layer.adds_low_rank(tasks) for layer in (self.proj, mlp.fc1, mlp.fc2)
            )
            and is_exact_gelu(mlp.act)
            and isinstance(mlp.norm, nn.Identity)
            and isinstance(self.norm, nn.LayerNorm)
            and self.norm.bias is not None
            and self.after_proj.norm is None
            and self.after_mlp.norm is None
            and not any(drops(layer) for layer in (self.after_proj.dropout, mlp.drop1, self.after_mlp.dropout))
        )

    def own_tasks(self, every: Sequence[str], tasks: Sequence[str]) -> tuple[str, ...]:
        """Which of ``tasks`` have a stream of their own here (mode `addition` needs all that have).

        Args:
            every: all tasks of the network, in its order.
            tasks: those that run.
        """
        layers = [self.proj, *self.mlp.children()]
        adapted = [layer for layer in layers if isinstance(layer, StreamLayer) and len(layer.tasks)]
        needs_all = any(layer.needs_all_tasks for layer in adapted)
        own = {task for layer in adapted for task in layer.tasks}
        return tuple(task for task in every if task in own and (needs_all or task in tasks))


def is_exact_gelu(activation: nn.Module) -> bool:
    """Whether it is the GELU without approximation."""
    return isinstance(activation, nn.GELU) and activation.approximate == 'none'


def drops(dropout: nn.Module) -> bool:
    """Whether it hides anything at present."""
    return isinstance(dropout, nn.Dropout) and dropout.training and dropout.p > 0


def dropped(dropout: nn.Module, streams: Streams) -> Streams:
    """``streams`` after dropout."""
    return streams.map(dropout) if drops(dropout) else streams


def _gated(mlp: GluMlp, rows: Tensor) -> Tensor:
    first, second = rows.chunk(2, -1)
    return first * mlp.act(second) if mlp.gate_last else mlp.act(first) * second


def _kept(drop_path: nn.Module, streams: int, shape: Sequence[int], like: Tensor) -> Tensor | None:
    """Stochastic depth: factors ``[S, N, 1]`` for rows of ``[B, ..., C]``, one draw for each image and stream."""
    if isinstance(drop_path, nn.Identity) or not drop_path.training:
        return None
    factors = drop_path(like.new_ones(streams * shape[0], 1)).view(streams, shape[0], 1)
    return factors.expand(-1, -1, len(like) // shape[0]).reshape(streams, -1, 1)
