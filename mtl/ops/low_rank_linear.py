"""The low-rank linear map with few multiplications and little memory.

``y = W x + b + B A drop(x)`` with ``W`` ``[out, in]``, ``A`` ``[rank, in]``, ``B`` ``[out, rank]`` (the scale is part
of ``B``). Two identities decide how it is computed; which side is cheaper is a matter of counting multiplications:

* ``W x + B (A x) = (W + B A) x``: composed, one large product; factored, three. Composing costs ``rank * in * out``
  once, the factored path ``rank * (in + out)`` a row. At rank 64 and 96 channels the factored path alone costs as
  much as ``W x``.
* With ``G = dy' x``, the gradient of the composed weight: ``dA = B' G`` and ``dB = G A'``; or, without ``G``,
  ``dA = (dy B)' x`` and ``dB = dy' (x A')``.

Only ``x`` is kept for the backward pass (and, with dropout, where it was hit); double backward is not offered.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.ops.dropout import Dropped, draw_dropped
from mtl.ops.linear import linear


def low_rank_linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor, dropout: float = 0.0
) -> Tensor:
    """``W x + b + B A drop(x)`` for ``x`` of shape ``[..., in]``.

    Args:
        x: input.
        weight, bias: base layer, ``[out, in]`` and ``[out]``.
        A, B: factors ``[rank, in]`` and ``[out, rank]``.
        dropout: probability with which an entry of ``x`` is hidden from ``A``; 0 outside training.
    """
    if torch.compiler.is_compiling():  # the compiler chooses by itself what to keep and what to recompute
        return F.linear(x, weight, bias) + F.linear(F.linear(F.dropout(x, dropout), A), B)
    x, weight, A, B = in_autocast_dtype(x, weight, A, B)
    if bias is not None:
        (bias,) = in_autocast_dtype(bias)
    rows = x.reshape(-1, x.shape[-1])
    dropped = draw_dropped(rows.shape, dropout, rows.device) if dropout else None
    with without_autocast(x):
        return _LowRankLinear.apply(rows, weight, bias, A, B, dropped).view(*x.shape[:-1], -1)


def in_autocast_dtype(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the dtype that autocast asks for on the first one's device; as they are where it is off."""
    device = tensors[0].device.type
    if not (torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple(tensor.to(dtype) for tensor in tensors)


def without_autocast(x: Tensor) -> AbstractContextManager:
    """Autocast is off inside, on the device of ``x``. The meta device has none."""
    device = x.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def composing_pays(rows: int, n_in: int, n_out: int) -> bool:
    """Whether ``(W + B A) x`` takes fewer multiplications than ``W x + B (A x)`` for so many rows, at any rank."""
    return n_in * n_out < rows * (n_in + n_out)


def second_product_pays(rows: int, n_in: int, n_out: int, rank: int) -> bool:
    """Whether ``(W + B A) x`` beside ``W x`` is quicker as a product of its own than as ``W x + B (A x)``.

    A multiplication of a large product takes three quarters of the time of one with the rank (measured on a CPU).
    """
    return 3 * (rows + rank) * n_in * n_out <= 4 * rows * rank * (n_in + n_out)


class _LowRankLinear(torch.autograd.Function):
    """:func:`low_rank_linear` on rows ``[N, in]`` of one dtype."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor, dropped: Dropped | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight, A, B, None if dropped is None else dropped.where)
        ctx.scale = None if dropped is None else dropped.scale
        (rows, n_in), n_out = x.shape, weight.shape[0]
        if dropped is None and composing_pays(rows, n_in, n_out):
            return linear(x, torch.addmm(weight, B, A), bias)
        hit = x if dropped is None else dropped.apply(x)
        return linear(x, weight, bias).addmm_(hit @ A.T, B.T)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, A, B, where = ctx.saved_tensors
        dropped = None if where is None else Dropped(where, ctx.scale)
        needs_x, needs_weight, needs_bias, needs_A, needs_B, _ = ctx.needs_input_grad
        grad = grad.contiguous()
        (rows, n_in), n_out, rank = x.shape, weight.shape[0], len(A)
        grad_x = grad_weight = grad_A = grad_B = None

        needs_factors = needs_A or needs_B
        # by G of the module's docstring, where it is asked for anyway or takes fewer multiplications
        pays = rows * n_in * n_out + 2 * rank * n_in * n_out < 2 * rows * rank * (n_in + n_out)
        if needs_weight or (needs_factors and pays and dropped is None):
            grad_weight = grad.T @ x
            if needs_factors and dropped is None:
                grad_A, grad_B = B.T @ grad_weight, grad_weight @ A.T
        if needs_x and dropped is None and n_out < rows:
            grad_x = linear(grad, torch.addmm(weight, B, A).T)
        if (needs_x and grad_x is None) or (needs_factors and grad_A is None):
            grad_z = grad @ B
            if needs_x and grad_x is None:
                grad_x = linear(grad, weight.T)
                grad_x = grad_x.addmm_(grad_z, A) if dropped is None else grad_x.add_(dropped.apply(grad_z @ A))
            if needs_factors and grad_A is None:
                hit = x if dropped is None else dropped.apply(x)
                grad_A, grad_B = grad_z.T @ hit, grad.T @ (hit @ A.T)
        return (
            grad_x,
            grad_weight if needs_weight else None,
            grad.sum(0) if needs_bias else None,
            grad_A,
            grad_B,
            None,
        )
