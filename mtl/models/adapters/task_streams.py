"""The streams of several tasks through the second half of a block, without ever storing their hidden activations.

In the last block of a stage, with the frozen products done once on the shared stream, a task's stream differs from
it by products of rank ``r`` only:

    u_t = x + (p + B0_t z_t)                      after the attention's projection, z_t of rank r
    y_t = u_t + (q + B2_t A2_t gelu(h + B1_t A1_t norm(u_t)))

with ``p``, ``h``, ``q`` the frozen projection, first and second layer of the MLP, all on the shared stream. So the
tasks' hidden activations (four times as wide as the stream, once a task) can be made again from ``h`` and numbers of
rank ``r`` whenever they are wanted. That is done for a few rows of all tasks at a time, which then stay in the
processor's cache, in the forward pass and again in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.models.adapters.functional import in_autocast_dtype

# entries of hidden activations held at a time: on a CPU what its last cache holds and several threads can share (a
# quarter of it costs a third more time in two threads, nothing in one), elsewhere what keeps the device busy
CHUNK = {'cpu': 2**21}
CHUNK_ELSEWHERE = 2**27


class TaskFactors(NamedTuple):
    """Low-rank factors of ``T`` tasks, stacked: projection, first and second layer of the MLP (``C`` to ``F``).

    All have the rank in the middle, so that every product with the wide hidden activations runs along rows of memory
    (the others take five times as long on a CPU). The ``B`` are transposed and scaled.

    Args:
        B0: ``[T, r, C]``; its ``A0`` was applied already.
        A1, B1: ``[T, r, C]`` and ``[T, r, F]``.
        A2, B2: ``[T, r, F]`` and ``[T, r, C]``.
    """

    B0: Tensor
    A1: Tensor
    B1: Tensor
    A2: Tensor
    B2: Tensor


def task_streams(
    x: Tensor,
    p: Tensor,
    z: Tensor,
    h: Tensor,
    q: Tensor,
    factors: TaskFactors,
    norm: torch.nn.LayerNorm,
    keep: tuple[Tensor, Tensor] | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """The task streams ``y`` ``[T, N, C]`` of the module's equations, for ``N`` rows.

    Args:
        x: input of the block, ``[N, C]``.
        p, h, q: frozen products of the shared stream, ``[N, C]``, ``[N, F]``, ``[N, C]``.
        z: ``A0`` applied to the input of the projection, ``[T, N, r]``.
        factors: of the tasks.
        norm: the norm before the MLP.
        keep: stochastic depth: factors ``[T, N, 1]`` of the two bracketed branches; ``None`` for 1.
        out: where to write them, all rows at once and without gradients; a new tensor otherwise.
    """
    if torch.compiler.is_compiling():  # the compiler chooses by itself what to keep and what to recompute
        u, normed, _, _ = _attended(x, p, z, factors.B0, norm.weight, norm.bias, norm.eps, keep)
        hidden = h + normed @ factors.A1.mT @ factors.B1
        output = q + F.gelu(hidden) @ factors.A2.mT @ factors.B2
        return u + (output if keep is None else output * keep[1])
    x, p, z, h, q, weight, bias, *stacked = in_autocast_dtype(x, p, z, h, q, norm.weight, norm.bias, *factors)
    with torch.autocast(x.device.type, enabled=False):
        if out is not None:
            hidden = h.new_empty(len(z), *h.shape)
            return _some_rows(x, p, z, h, q, TaskFactors(*stacked), weight, bias, norm.eps, keep, hidden, out)[0]
        return _TaskStreams.apply(x, p, z, h, q, *stacked, weight, bias, norm.eps, keep)


def _some_rows(x, p, z, h, q, factors, norm_weight, norm_bias, eps, keep, hidden, out=None):
    """``y``, and the inputs of rank r of the MLP's second factors; ``hidden`` ``[T, n, F]`` is overwritten."""
    B0, A1, B1, A2, B2 = factors
    u, normed, _, _ = _attended(x, p, z, B0, norm_weight, norm_bias, eps, keep)
    z1 = normed @ A1.mT
    torch.baddbmm(h.expand_as(hidden), z1, B1, out=hidden)
    z2 = torch.ops.aten.gelu.out(hidden, out=hidden) @ A2.mT
    return _output(u, q, z2, B2, keep, out), z1, z2


def _attended(x, p, z, B0, norm_weight, norm_bias, eps, keep):
    """``u`` and ``norm(u)`` with its mean and inverse deviation."""
    common = (p + x).expand(len(z), -1, -1) if keep is None else torch.addcmul(x, p, keep[0])
    u = torch.baddbmm(common, z if keep is None else z * keep[0], B0)
    return u, *torch.native_layer_norm(u, u.shape[-1:], norm_weight, norm_bias, eps)


def _output(u, q, z2, B2, keep, out=None):
    """``y`` from the second layer's products of rank r; in ``out``, or else in ``u``."""
    out = u if out is None else out
    if keep is None:
        return torch.baddbmm(u, z2, B2, out=out).add_(q)
    return torch.add(u, (z2 @ B2).add_(q).mul_(keep[1]), out=out)


def rows_at_a_time(rows: int, width: int, device: torch.device) -> Iterator[slice]:
    """Slices of ``rows`` rows of ``width`` entries each that are worked on together."""
    step = max(1, CHUNK.get(device.type, CHUNK_ELSEWHERE) // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


class _Chunks:
    """A few rows of all tasks at a time, and buffers ``[T, n, F]`` for their hidden activations.

    The buffers are reused: on a CPU a fresh one costs more (page faults) than what is written to it.
    """

    def __init__(self, z: Tensor, h: Tensor, buffers: int) -> None:
        self.tasks, (rows, self.width) = len(z), h.shape
        self.parts = list(rows_at_a_time(rows, buffers * self.tasks * self.width, h.device))
        largest = self.parts[0].stop * self.tasks * self.width
        self.buffers = [h.new_empty(largest) for _ in range(buffers)]

    def __iter__(self):
        """The slice of rows, followed by the buffers for them."""
        for part in self.parts:
            shape = (self.tasks, part.stop - part.start, self.width)
            yield part, *(buffer[: math.prod(shape)].view(shape) for buffer in self.buffers)


class _TaskStreams(torch.autograd.Function):
    """:func:`task_streams` on tensors of one dtype."""

    @staticmethod
    def forward(ctx, x, p, z, h, q, B0, A1, B1, A2, B2, norm_weight, norm_bias, eps, keep):
        factors = TaskFactors(B0, A1, B1, A2, B2)
        chunks = _Chunks(z, h, buffers=1)
        if len(chunks.parts) > 1:
            out = x.new_empty(len(z), *x.shape)
            z1, z2 = (x.new_empty(*z.shape[:2], factor.shape[1]) for factor in (A1, A2))
        for part, hidden in chunks:
            rows = x[part], p[part], z[:, part], h[part], q[part]
            some = _some_rows(*rows, factors, norm_weight, norm_bias, eps, _rows(keep, part), hidden)
            if len(chunks.parts) > 1:
                out[:, part], z1[:, part], z2[:, part] = some
            else:  # as in evaluation, where the block itself goes a few rows at a time: nothing to copy
                out, z1, z2 = some
        ctx.save_for_backward(x, p, z, h, z1, z2, B0, A1, B1, A2, B2, norm_weight, norm_bias, *(keep or ()))
        ctx.eps = eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, p, z, h, z1, z2, B0, A1, B1, A2, B2, norm_weight, norm_bias, *keep = ctx.saved_tensors
        width = x.shape[-1:]
        d_x, d_p, d_z, d_h, d_q = (torch.empty_like(tensor) for tensor in (x, p, z, h, p))
        # sums over chunks, in single precision at least
        sums = [
            torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
            for tensor in (B0, A1, B1, A2, B2, norm_weight, norm_bias)
        ]
        for part, hidden, active in _Chunks(z, h, buffers=2):
            kept = _rows(keep, part)
            u, normed, *moments = _attended(x[part], p[part], z[:, part], B0, norm_weight, norm_bias, ctx.eps, kept)
            torch.baddbmm(h[part].expand_as(hidden), z1[:, part], B1, out=hidden)
            torch.ops.aten.gelu.out(hidden, out=active)

            d_y = grad[:, part]
            d_second = d_y if kept is None else d_y * kept[1]
            d_z2 = d_second @ B2.mT
            d_A2 = d_z2.mT @ active
            d_active = torch.bmm(d_z2, A2, out=active)  # `active` itself has served
            d_hidden = torch.ops.aten.gelu_backward.grad_input(d_active, hidden, grad_input=hidden)
            d_z1 = d_hidden @ B1.mT
            d_u, d_weight, d_bias = torch.ops.aten.native_layer_norm_backward(
                d_z1 @ A1, u, width, *moments, norm_weight, norm_bias, [True] * 3
            )
            d_u += d_y
            d_first = d_u if kept is None else d_u * kept[0]

            torch.sum(d_u, 0, out=d_x[part])
            torch.sum(d_first, 0, out=d_p[part])
            torch.sum(d_hidden, 0, out=d_h[part])
            torch.sum(d_second, 0, out=d_q[part])
            d_z[:, part] = d_first @ B0.mT
            gradients = (
                z[:, part].mT @ d_first,
                d_z1.mT @ normed,
                z1[:, part].mT @ d_hidden,
                d_A2,
                z2[:, part].mT @ d_second,
                d_weight,
                d_bias,
            )
            for total, gradient in zip(sums, gradients, strict=True):
                total += gradient
        return d_x, d_p, d_z, d_h, d_q, *(total.to(x.dtype) for total in sums), None, None


def _rows(keep: Sequence[Tensor] | None, part: slice) -> tuple[Tensor, Tensor] | None:
    return (keep[0][:, part], keep[1][:, part]) if keep else None
