"""MTLoRA's linear map of the shared stream and the tasks' streams (MTLoRA, CVPR 2024, eq. 3-4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl.ops.dropout import dropout
from mtl.ops.linear import linear
from mtl.ops.low_rank_linear import low_rank_linear, second_product_pays
from mtl.ops.low_rank_streams import ActiveStreams, LowRankStreams
from mtl.ops.streams import Streams


class Factors(NamedTuple):
    """Low-rank updates ``dW = B A``, the scale being part of ``B``.

    Attributes:
        A: ``[rank, in]``, or of ``T`` tasks ``[T, rank, in]``.
        B: ``[out, rank]``, or of ``T`` tasks, transposed, ``[T, rank, out]``: with the rank in the middle, every
            product with wide activations runs along rows of memory.
    """

    A: Tensor
    B: Tensor


def mtlora_linear(
    x: Streams,
    weight: Tensor,
    bias: Tensor | None,
    shared: Factors | None = None,
    tasks: Factors | None = None,
    *,
    adds_shared: bool = False,
    task_base: bool = False,
    norm: nn.LayerNorm | None = None,
    merged: Tensor | None = None,
    p: float = 0.0,
    stream_p: float = 0.0,
    keep_shared: bool = True,
    gelu: bool = False,
) -> Streams:
    """The shared output ``y`` and the outputs ``y_t`` of the tasks:

        y   = W x + b + B A drop(x)
        y_t = W x + b + B_t A_t x_t         with the tasks' own inputs x_t, drop(x) where their streams begin here

    Args:
        x: inputs, rows ``[N, in]`` (without ``tasks``: of any shape ``[..., in]``).
        weight, bias: base layer, ``[out, in]`` and ``[out]``.
        shared: the shared update ``B A``.
        tasks: the tasks' updates; without any, every stream of ``x`` has the output ``y``.
        adds_shared: add ``B A drop(x)`` to ``y_t`` (mode `matrixv2`).
        task_base: ``W x_t`` in place of ``W x`` in ``y_t``, where the task has a stream.
        norm: ``y = W x + b + norm(sum_t y_t)`` (mode `addition`; then there is no shared update).
        merged: ``W + B A`` where it is at hand.
        p, stream_p: dropout of ``x``, and of ``x_t``; 0 outside training.
        keep_shared: compute ``y``; off where nobody reads it.
        gelu: of all outputs, give the GELU.
    """
    if tasks is None:
        return x.map(lambda rows: _one_stream(rows, weight, bias, shared, merged, p, gelu), keep_shared)
    stream, begins, is_active = x.need_shared(), x.own is None, False
    update = shared if keep_shared or adds_shared else None
    dropped = stream if update is None and not begins else dropout(stream, p)
    if update is not None and adds_shared and not task_base and merged is not None:
        y = base = linear(stream, merged, bias)
    else:
        y = base = linear(stream, weight, bias)
        if update is not None:
            if not adds_shared and not p and _second_product_is_quicker(stream, weight, update):
                composed = weight + update.B @ update.A if merged is None else merged
                y, is_active = linear(stream, composed, bias, gelu), gelu
            else:
                y = torch.addmm(base, linear(dropped, update.A), update.B.T)

    inputs = LowRankStreams.of_rank_0(dropped[None]) if x.own is None else x.own
    common = (y if adds_shared else base)[None]
    if task_base and not begins:
        of_own = linear(inputs.dense(), weight, bias)
        common = of_own + (y - base) if adds_shared else of_own
    if stream_p and not begins:
        inputs = LowRankStreams.of_rank_0(dropout(inputs.dense(), stream_p))
    own = LowRankStreams(common, inputs.project(tasks.A), tasks.B)
    if norm is not None:
        own = LowRankStreams.of_rank_0(own.dense())
        y = base + norm(own.common.sum(0)) if keep_shared else y
    if gelu and keep_shared and not is_active:
        y = F.gelu(y)
    return Streams(y if keep_shared else None, ActiveStreams(own) if gelu else own)


def _one_stream(
    x: Tensor, weight: Tensor, bias: Tensor | None, shared: Factors | None, merged: Tensor | None, p: float, gelu: bool
) -> Tensor:
    if merged is not None or shared is None:
        return linear(x, weight if merged is None else merged, bias, gelu)
    y = low_rank_linear(x, weight, bias, shared.A, shared.B, p)
    return F.gelu(y) if gelu else y


def _second_product_is_quicker(x: Tensor, weight: Tensor, shared: Factors) -> bool:
    """Whether ``(W + B A) x`` is made beside ``W x``, not from it; with gradients its weight would be kept."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    n_out, n_in = weight.shape
    return second_product_pays(len(x), n_in, n_out, len(shared.A))
