"""A level of the pyramid whose task streams have not passed their patch merging yet."""

from __future__ import annotations

from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mtl.models.adapters.functional import in_autocast_dtype
from mtl.models.adapters.low_rank import MTLoRALinear
from mtl.models.adapters.task_streams import rows_at_a_time
from mtl.models.backbones.pyramid import SHARED, Level
from mtl.models.dense import linear


class MergingLevel(Level):
    """A level after patch merging, done for the task streams when a decoder asks for them.

    Patch merging is a norm of 2 x 2 patches (``4 C``) followed by a bias-free linear map ``R`` to ``2 C``. Task
    streams go nowhere but into a decoder, and where that begins with a linear map ``P`` to few channels,
    ``P (R n) = (P R) n``: one small product instead of a large and a small one. So :meth:`projected` never computes
    ``R n``; every other way to the features does.

    Args:
        shared: merged shared stream ``[B, 2 C, H / 2, W / 2]``.
        own: streams of the tasks before merging, ``[T, B, H, W, C]``.
        tasks: names of the ``T`` tasks.
        merging: timm's ``PatchMerging``.
    """

    def __init__(self, shared: Tensor, own: Tensor, tasks: tuple[str, ...], merging: nn.Module) -> None:
        # the parent is a frozen dataclass whose `features` are computed here
        self.__dict__.update(shared=shared, own=own, streams=(SHARED, *tasks), merging=merging)

    @cached_property
    def features(self) -> Tensor:
        """``[1 + T, B, 2 C, H / 2, W / 2]``."""
        merged = self.merging(self.own.flatten(0, 1)).unflatten(0, self.own.shape[:2])
        return torch.cat([self.shared[None], merged.permute(0, 1, 4, 2, 3)])

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.shared.shape[-2:])

    def stacked(self, tasks: tuple[str, ...]) -> Tensor:
        """See :meth:`Level.stacked`; the shared stream alone needs no merging of the others."""
        return super().stacked(tasks) if self.has_own(tasks) else self.shared.expand(len(tasks), -1, -1, -1, -1)

    def streams_apart(self) -> tuple[Tensor, ...]:
        """The shared stream after merging, the tasks' before."""
        return self.shared[None], self.own

    def projected(self, tasks: tuple[str, ...], weights: Tensor) -> Tensor:
        """See :meth:`Level.projected`."""
        reduction = self._reduction
        if reduction is None or not set(tasks) <= set(self.streams[1:]) or not self._composing_pays(weights):
            return super().projected(tasks, weights)
        own = self.own
        if tasks != self.streams[1:]:
            own = own[[self.streams.index(task) - 1 for task in tasks]]
        composed = linear(weights.flatten(0, 1), reduction.T).unflatten(0, weights.shape[:2])
        return norm_and_project(own, self.merging.norm, composed)

    def _composing_pays(self, weights: Tensor) -> bool:
        if torch.compiler.is_compiling():  # one graph for all image sizes
            return True
        (_, n_out, merged), patch = weights.shape, self.merging.reduction.in_features
        return composing_pays(self.own[0].numel() // patch, patch, merged, n_out)

    @cached_property
    def _reduction(self) -> Tensor | None:
        """``R`` ``[2 C, 4 C]``; ``None`` where a dropout makes it no fixed matrix."""
        reduction = self.merging.reduction
        if not isinstance(reduction, MTLoRALinear):
            return reduction.weight
        drops = reduction.training and reduction.dropout.p > 0
        return None if drops else reduction.base_weight + reduction.delta_weight()


def composing_pays(patches: int, n_patch: int, n_merged: int, n_out: int) -> bool:
    """Whether ``P R`` and one product are fewer multiplications than two products (not so on a tiny image).

    Args:
        patches: rows.
        n_patch, n_merged, n_out: ``R`` is ``[n_merged, n_patch]``, ``P`` is ``[n_out, n_merged]``.
    """
    return n_out * n_merged * n_patch + patches * n_patch * n_out < patches * n_merged * (n_patch + n_out)


def norm_and_project(x: Tensor, norm: nn.LayerNorm, weights: Tensor) -> Tensor:
    """Norm and linear map of 2 x 2 patches; only ``x`` is kept for the backward pass.

    Args:
        x: ``[T, B, H, W, C]`` with even ``H`` and ``W``.
        norm: over patches, ``4 C``.
        weights: ``[T, out, 4 C]``, in the order in which timm's ``PatchMerging`` flattens a patch.

    Returns:
        ``[T, B, H / 2, W / 2, out]``.
    """
    tasks, batch, height, width, _ = x.shape
    x, weights, norm_weight, norm_bias = in_autocast_dtype(x, weights, norm.weight, norm.bias)
    x = x.reshape(tasks, -1, 2, width // 2, 2, x.shape[-1])
    if torch.compiler.is_compiling():
        out = F.layer_norm(_patches(x), norm.normalized_shape, norm_weight, norm_bias, norm.eps) @ weights.mT
    else:
        with torch.autocast(x.device.type, enabled=False):
            out = _NormAndProject.apply(x, norm_weight, norm_bias, weights, norm.eps)
    return out.view(tasks, batch, height // 2, width // 2, -1)


def _patches(x: Tensor) -> Tensor:
    """``[T, n, 2, w, 2, C]``, ``n`` pairs of image rows, as patches ``[T, n * w, 4 C]`` (width before height)."""
    return _in_order(x).flatten(3).flatten(1, 2)


def _in_order(x: Tensor) -> Tensor:
    """The view ``[T, n, w, 2, 2, C]`` whose memory :func:`_patches` flattens."""
    return x.permute(0, 1, 3, 4, 2, 5)


class _NormAndProject(torch.autograd.Function):
    """:func:`norm_and_project` of ``[T, n, 2, w, 2, C]``, a few pairs of image rows at a time."""

    @staticmethod
    def forward(ctx, x: Tensor, norm_weight: Tensor, norm_bias: Tensor, weights: Tensor, eps: float) -> Tensor:
        ctx.save_for_backward(x, norm_weight, norm_bias, weights)
        ctx.eps = eps
        tasks, pairs, _, width = x.shape[:4]
        out = x.new_empty(tasks, pairs, width, weights.shape[1])
        for part in rows_at_a_time(pairs, x[:, 0].numel(), x.device):
            normed = F.layer_norm(_patches(x[:, part]), weights.shape[-1:], norm_weight, norm_bias, eps)
            out[:, part] = (normed @ weights.mT).view(tasks, -1, *out.shape[2:])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, norm_weight, norm_bias, weights = ctx.saved_tensors
        d_x = torch.empty_like(x)
        sums = [
            torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
            for tensor in (norm_weight, norm_bias, weights)
        ]
        for part in rows_at_a_time(x.shape[1], x[:, 0].numel(), x.device):
            patches, d_out = _patches(x[:, part]), grad[:, part].flatten(1, 2)
            normed, *moments = torch.native_layer_norm(patches, patches.shape[-1:], norm_weight, norm_bias, ctx.eps)
            d_patches, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
                d_out @ weights, patches, patches.shape[-1:], *moments, norm_weight, norm_bias, [True] * 3
            )
            target = _in_order(d_x[:, part])
            target.copy_(d_patches.view(target.shape))
            for total, gradient in zip(sums, (d_weight, d_bias, d_out.mT @ normed), strict=True):
                total += gradient
        d_weight, d_bias, d_weights = (total.to(x.dtype) for total in sums)
        return d_x, d_weight, d_bias, d_weights, None
