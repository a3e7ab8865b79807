"""The Swin block in which the streams of the tasks leave the shared one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.models.adapters.low_rank import MTLoRALinear, stacked_factors, with_every
from mtl.models.adapters.task_streams import TaskFactors, rows_at_a_time, task_streams
from mtl.models.backbones.window_attention import windowed_attention
from mtl.models.dense import packed


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
    ) -> tuple[Tensor | None, Tensor | None]:
        """From the shared stream ``[B, H, W, C]`` to itself and the stack of the tasks' streams ``[T, B, H, W, C]``.

        Args:
            x: input.
            tasks: tasks with a stream; without any, the second result is ``None``.
            keep_shared: compute the shared output; the first result is ``None`` without.
        """
        attended = windowed_attention(self.block, self.block.norm1(x))
        if tasks and self._differs_by_low_rank(tasks):
            return self._by_low_rank(x, attended, tasks, keep_shared)
        streams = self._layer_by_layer(x, attended, tasks, keep_shared)
        if not keep_shared:
            return None, streams
        return streams[0], streams[1:] if tasks else None

    def _layer_by_layer(self, x: Tensor, attended: Tensor, tasks: tuple[str, ...], keep_shared: bool) -> Tensor:
        block, mlp = self.block, self.block.mlp
        x = x + _drop_path(block.drop_path1, through_streams(self.proj, attended[None], tasks))
        hidden = mlp.drop1(mlp.act(through_streams(mlp.fc1, block.norm2(x), tasks)))
        output = mlp.drop2(through_streams(mlp.fc2, hidden, tasks, keep_shared))
        residual = x if keep_shared or len(x) == 1 else x[1:]
        return residual + _drop_path(block.drop_path2, output)

    def _differs_by_low_rank(self, tasks: tuple[str, ...]) -> bool:
        mlp = self.block.mlp
        layers = (self.proj, mlp.fc1, mlp.fc2)
        return (
            all(isinstance(layer, MTLoRALinear) and layer.adds_to_shared(tasks) for layer in layers)
            and isinstance(mlp.act, nn.GELU)
            and mlp.act.approximate == 'none'
            and not (self.training and (mlp.drop1.p or mlp.drop2.p))
        )

    def _by_low_rank(
        self, x: Tensor, attended: Tensor, tasks: tuple[str, ...], keep_shared: bool
    ) -> tuple[Tensor | None, Tensor]:
        block, mlp, shape = self.block, self.block.mlp, x.shape
        x, attended = x.flatten(0, 2), attended.flatten(0, 2)
        layers = (self.proj, mlp.fc1, mlp.fc2)
        factors = [stacked_factors(layer.tasks[task] for task in tasks) for layer in layers]
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            keep1 = _keep(block.drop_path1, 1 + len(tasks), shape, x)
            keep2 = _keep(block.drop_path2, 1 + len(tasks), shape, x)
            shared, own = self._rows_by_low_rank(x, attended, factors, keep_shared, (keep1, keep2))
        else:  # every row for itself: some at a time, whose hidden activations stay in the cache
            own = x.new_empty(len(tasks), *x.shape)
            shared = torch.empty_like(x) if keep_shared else None
            weights = [packed(layer.common_weight, len(x), x, layer.bias) for layer in layers]
            for part in rows_at_a_time(len(x), len(tasks) * mlp.fc1.out_features, x.device):
                some, _ = self._rows_by_low_rank(
                    x[part], attended[part], factors, keep_shared, weights=weights, out=own[:, part]
                )
                if keep_shared:
                    shared[part] = some
        return shared.view(shape) if keep_shared else None, own.view(len(tasks), *shape)

    def _rows_by_low_rank(
        self,
        x: Tensor,
        attended: Tensor,
        factors: list[tuple[Tensor, Tensor]],
        keep_shared: bool,
        keep: tuple[Tensor | None, Tensor | None] = (None, None),
        weights: Sequence[Tensor | None] = (None, None, None),
        out: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor]:
        """Rows ``[N, C]`` of the shared stream to themselves and ``[T, N, C]``; see :func:`task_streams`.

        Args:
            x, attended: of the shared stream, ``[N, C]``.
            factors: of the three layers.
            keep_shared: see :meth:`forward`.
            keep: stochastic depth, see :func:`_keep`.
            weights: common weights of the three layers, if packed already.
            out: where to write the task streams, without gradients.
        """
        mlp, norm, (keep1, keep2) = self.block.mlp, self.block.norm2, keep
        (A0, B0), (A1, B1), (A2, B2) = factors
        dropped = self.proj.dropout(attended)
        projected, p = self.proj.shared_and_base(attended, dropped, weight=weights[0])
        shared = x + _times(projected, keep1)
        normed = norm(shared)
        hidden, h = mlp.fc1.shared_and_base(normed, mlp.fc1.dropout(normed), weight=weights[1])
        active = mlp.act(hidden)
        dropped_active = mlp.fc2.dropout(active) if keep_shared else active
        output, q = mlp.fc2.shared_and_base(active, dropped_active, keep_shared, weights[2])

        own_keep = None if keep1 is None else (keep1[1:], keep2[1:])
        own_factors = TaskFactors(B0, A1, B1, A2, B2)
        own = task_streams(x, p, with_every(A0, dropped), h, q, own_factors, norm, own_keep, out)
        return shared + _times(output, keep2) if keep_shared else None, own


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
