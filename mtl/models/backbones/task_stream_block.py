"""The Swin block in which the streams of the tasks leave the shared one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mtl.models.adapters.low_rank import MTLoRALinear, stacked_factors
from mtl.models.backbones.window_attention import windowed_attention
from mtl.ops.linear import with_each
from mtl.ops.low_rank_streams import LowRankStreams, TaskFactors, task_streams


def through_streams(layer: nn.Module, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True) -> Tensor:
    """``layer`` on stacked streams ``[S, ..., in]``; an adapted layer may start the task streams (``S`` grows)."""
    if hasattr(layer, 'forward_streams'):
        return layer.forward_streams(x, tasks, keep_shared)
    return layer(x if keep_shared else x[1:])


class TaskStreamBlock(nn.Module):
    """A timm Swin block whose projection and MLP run on stacked streams.

    The projection after attention is a pointwise linear map, so it commutes with window reverse, roll and crop. It is
    taken out of timm's attention, which then runs once, on the shared stream; projection and MLP see ``1 + T``
    streams. Every stream has its own residual path; norms are shared (MTLoRA, CVPR 2024, figure 3).

    Where the frozen products of all three layers are those of the shared stream (the published form), the task
    streams differ from it by products of low rank only and run by :func:`task_streams`; every other setting goes
    through the layers one by one. Both give the same numbers.

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
        attended = windowed_attention(self.block, self.block.norm1(x))
        if self.differs_by_low_rank(tasks):
            return self._by_low_rank(x, attended, tasks, keep_shared)
        streams = self._layer_by_layer(x, attended, tasks, keep_shared)
        own = LowRankStreams.of_rank_0(streams[1:] if keep_shared else streams) if tasks else None
        return streams[0] if keep_shared else None, own

    def _layer_by_layer(self, x: Tensor, attended: Tensor, tasks: tuple[str, ...], keep_shared: bool) -> Tensor:
        block, mlp = self.block, self.block.mlp
        x = x + _drop_path(block.drop_path1, through_streams(self.proj, attended[None], tasks))
        hidden = mlp.drop1(mlp.act(through_streams(mlp.fc1, block.norm2(x), tasks)))
        output = mlp.drop2(through_streams(mlp.fc2, hidden, tasks, keep_shared))
        residual = x if keep_shared or len(x) == 1 else x[1:]
        return residual + _drop_path(block.drop_path2, output)

    def differs_by_low_rank(self, tasks: tuple[str, ...]) -> bool:
        """Whether the streams of ``tasks`` differ from the shared one by products of low rank only."""
        mlp = self.block.mlp
        layers = (self.proj, mlp.fc1, mlp.fc2)
        return (
            len(tasks) > 0
            and all(isinstance(layer, MTLoRALinear) and layer.adds_to_shared(tasks) for layer in layers)
            and isinstance(mlp.act, nn.GELU)
            and mlp.act.approximate == 'none'
            and not (self.training and (mlp.drop1.p or mlp.drop2.p))
        )

    def _by_low_rank(
        self, x: Tensor, attended: Tensor, tasks: tuple[str, ...], keep_shared: bool
    ) -> tuple[Tensor | None, LowRankStreams]:
        block, mlp, shape = self.block, self.block.mlp, x.shape
        x, attended = x.flatten(0, 2), attended.flatten(0, 2)
        (A0, B0), *mlp_factors = (
            stacked_factors(layer.tasks[task] for task in tasks) for layer in (self.proj, mlp.fc1, mlp.fc2)
        )
        keep1 = _keep(block.drop_path1, 1 + len(tasks), shape, x)
        keep2 = _keep(block.drop_path2, 1 + len(tasks), shape, x)

        dropped = self.proj.dropout(attended)
        projected, p = self.proj.shared_and_base(attended, dropped)
        shared = x + _times(projected, keep1)
        normed = block.norm2(shared)
        active, h = mlp.fc1.shared_and_base(normed, mlp.fc1.dropout(normed), gelu=True)
        output, q = mlp.fc2.shared_and_base(active, mlp.fc2.dropout(active) if keep_shared else active, keep_shared)

        own_keep = None if keep1 is None else (keep1[1:], keep2[1:])
        factors = TaskFactors(B0, *mlp_factors[0], *mlp_factors[1])
        own = task_streams(x, p, with_each(A0, dropped[None]), h, q, factors, block.norm2, own_keep)
        shared = (shared + _times(output, keep2)).view(shape) if keep_shared else None
        return shared, own.unflatten(1, shape[:3])


def _drop_path(drop_path: nn.Module, x: Tensor) -> Tensor:
    """Stochastic depth with one draw a sample and stream: ``x`` is ``[S, B, ...]``, timm draws along the first axis."""
    return drop_path(x.flatten(0, 1)).view_as(x)


def _keep(drop_path: nn.Module, streams: int, shape: torch.Size, like: Tensor) -> Tensor | None:
    """Factors of the rows by which :func:`_drop_path` acts, ``[S, B * H * W, 1]`` for ``shape`` ``[B, H, W, C]``."""
    if isinstance(drop_path, nn.Identity) or not drop_path.training:
        return None
    factors = drop_path(like.new_ones(streams * shape[0], 1)).view(streams, shape[0], 1)
    return factors.expand(-1, -1, shape[1] * shape[2]).reshape(streams, -1, 1)


def _times(x: Tensor, keep: Tensor | None) -> Tensor:
    return x if keep is None else x * keep[0]
