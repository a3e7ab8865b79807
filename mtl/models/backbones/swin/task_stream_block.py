"""The Swin block in which the streams of the tasks leave the shared one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.adapters.stream_layer import StreamLayer
from mtl.models.backbones.swin.window_block import windowed_attention
from mtl.ops.low_rank_streams import LowRankStreams
from mtl.ops.streams import Streams


class TaskStreamBlock(nn.Module):
    """A timm Swin block whose projection and MLP run on the shared stream and on those of the tasks.

    The projection after attention is a pointwise linear map, so it commutes with window reverse, roll and crop. It is
    taken out of timm's attention, which then runs once, on the shared stream; projection and MLP see ``1 + T``
    streams. Every stream has its own residual path; norms are shared (MTLoRA, CVPR 2024, figure 3).

    Where the frozen products of all three layers are those of the shared stream (the published form), the task
    streams differ from it by products of low rank only and are never written out (:mod:`mtl.ops.low_rank_streams`).
    In every other setting they are, after each layer. Both give the same numbers.

    Args:
        block: timm ``SwinTransformerBlock``; its attention loses its projection to this module.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.proj = block.attn.proj
        block.attn.proj = nn.Identity()
        self.block = block

    def forward(
        self, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True
    ) -> tuple[Tensor | None, LowRankStreams | None]:
        """From the shared stream ``[B, H, W, C]`` to itself and the tasks' streams, ``[T, B, H, W, C]``.

        Args:
            x: input.
            tasks: tasks with a stream; without any, the second result is ``None``.
            keep_shared: compute the shared output; the first result is ``None`` without.
        """
        block, mlp, shape = self.block, self.block.mlp, x.shape
        attended = windowed_attention(block, block.norm1(x)).flatten(0, 2)
        keep1, keep2 = (_keep(path, 1 + len(tasks), shape, attended) for path in (block.drop_path1, block.drop_path2))

        streams = Streams(x.flatten(0, 2)).plus(self._through(self.proj, Streams(attended), tasks), keep1)
        normed = self._form(streams.normed(block.norm2), tasks)
        hidden = self._through(mlp.fc1, normed, tasks, gelu=_is_exact_gelu(mlp.act))
        hidden = hidden if _is_exact_gelu(mlp.act) else hidden.map(mlp.act)
        output = self._through(mlp.fc2, _dropped(mlp.drop1, hidden), tasks, keep_shared)
        streams = streams.plus(_dropped(mlp.drop2, output), keep2)
        shared = None if streams.shared is None else streams.shared.view(shape)
        return shared, None if streams.own is None else streams.own.unflatten(1, shape[:3])

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
        mlp = self.block.mlp
        layers = (self.proj, mlp.fc1, mlp.fc2)
        return (
            len(tasks) > 0
            and all(isinstance(layer, StreamLayer) and layer.adds_low_rank(tasks) for layer in layers)
            and _is_exact_gelu(mlp.act)
            and not (self.training and (mlp.drop1.p or mlp.drop2.p))
        )


def _is_exact_gelu(activation: nn.Module) -> bool:
    return isinstance(activation, nn.GELU) and activation.approximate == 'none'


def _dropped(dropout: nn.Dropout, streams: Streams) -> Streams:
    return streams.map(dropout) if dropout.training and dropout.p else streams


def _keep(drop_path: nn.Module, streams: int, shape: torch.Size, like: Tensor) -> Tensor | None:
    """Stochastic depth: factors ``[S, N, 1]`` for rows of ``[B, H, W, C]``, one draw for each image and stream."""
    if isinstance(drop_path, nn.Identity) or not drop_path.training:
        return None
    factors = drop_path(like.new_ones(streams * shape[0], 1)).view(streams, shape[0], 1)
    return factors.expand(-1, -1, shape[1] * shape[2]).reshape(streams, -1, 1)
