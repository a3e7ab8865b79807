"""The streams of several tasks, held as what they share and products of low rank.

In the last block of a stage, with the frozen products done once on the shared stream, a task's stream differs from
it by products of rank ``r`` only:

    u_t = x + (p + B0_t z_t)                      after the attention's projection, z_t of rank r
    y_t = u_t + (q + B2_t A2_t gelu(h + B1_t A1_t norm(u_t)))

with ``p``, ``h``, ``q`` the frozen projection, first and second layer of the MLP, all on the shared stream. So ``u_t``
and ``y_t`` are a common stream and a product of low rank, :class:`LowRankStreams`, and what they go into, a norm and a
linear map to few channels, follows from the factors (:func:`norm_and_project`). Neither is ever written out.

That leaves the hidden activations ``gelu(...)``: four times as wide as the stream, once a task, and not linear. They
are made from ``h`` and numbers of rank ``r`` a few rows at a time, which stay in the processor's cache, in the forward
pass and again in the backward pass (:func:`low_rank_mlp`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mtl.ops.linear import with_each
from mtl.ops.low_rank_linear import in_autocast_dtype, without_autocast

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


class LowRankStreams(NamedTuple):
    """``T`` streams ``common + z_t B_t``.

    Args:
        common: ``[1, ..., C]``, or ``[T, ..., C]`` where each stream has its own (then of rank 0, or with stochastic
            depth).
        z: ``[T, ..., R]``.
        B: ``[T, R, C]``.
    """

    common: Tensor
    z: Tensor
    B: Tensor

    @classmethod
    def of_rank_0(cls, streams: Tensor) -> LowRankStreams:
        """``streams`` ``[T, ..., C]`` as they are."""
        return cls(streams, streams[..., :0], streams.new_empty(len(streams), 0, streams.shape[-1]))

    def dense(self) -> Tensor:
        """``[T, ..., C]``."""
        if not self.z.shape[-1]:
            return self.common
        common, z = self.common.flatten(1, -2), self.z.flatten(1, -2)
        return torch.baddbmm(common.expand(len(z), -1, -1), z, self.B).view(*self.z.shape[:-1], -1)

    def of(self, indices: Sequence[int]) -> LowRankStreams:
        """Some of the streams."""
        if list(indices) == list(range(len(self.z))):
            return self
        common = self.common if len(self.common) == 1 else self.common[indices]
        return LowRankStreams(common, self.z[indices], self.B[indices])

    def unflatten(self, dim: int, sizes: Sequence[int]) -> LowRankStreams:
        """An axis between the first and the last, as several."""
        return LowRankStreams(self.common.unflatten(dim, sizes), self.z.unflatten(dim, sizes), self.B)


def task_streams(
    x: Tensor,
    p: Tensor,
    z: Tensor,
    h: Tensor,
    q: Tensor,
    factors: TaskFactors,
    norm: nn.LayerNorm,
    keep: tuple[Tensor, Tensor] | None = None,
) -> LowRankStreams:
    """The task streams ``y`` of the module's equations, for ``N`` rows.

    Args:
        x: input of the block, ``[N, C]``.
        p, h, q: frozen products of the shared stream, ``[N, C]``, ``[N, F]``, ``[N, C]``.
        z: ``A0`` applied to the input of the projection, ``[T, N, r]``.
        factors: of the tasks.
        norm: the norm before the MLP.
        keep: stochastic depth: factors ``[T, N, 1]`` of the two bracketed branches; ``None`` for 1.
    """
    B0, A1, B1, A2, B2 = factors
    p, q, x = p[None], q[None], x[None]
    if keep is not None:
        p, z, q = p * keep[0], z * keep[0], q * keep[1]
    attended = x + p
    z1 = norm_and_project(LowRankStreams(attended, z, B0).unflatten(1, (-1, 1)), norm, A1)
    z2 = low_rank_mlp(h, z1, B1, A2)
    z2 = z2 if keep is None else z2 * keep[1]
    return LowRankStreams(attended + q, torch.cat([z, z2], -1), torch.cat([B0, B2], 1))


def norm_and_project(streams: LowRankStreams, norm: nn.LayerNorm, weights: Tensor) -> Tensor:
    """``W_t norm(y_t)`` of the streams ``y_t``, which are never made.

    With the mean over channels taken out of ``common`` and ``B_t`` (``c`` and ``D_t``) and the norm's weight put into
    ``W_t`` (``V_t``),

        W_t norm(y_t) = (V_t c + V_t D_t z_t) / sqrt(var_t + eps) + W_t bias
        channels * var_t = c'c + z_t'(2 D_t'c + D_t'D_t z_t)

    so the only products over all channels are of ``common``, the same for all tasks, with few columns.

    Args:
        streams: ``[., N, P, C]``; the norm is over ``P`` pieces of ``C`` channels, as of the pixels of a patch.
        norm: over ``P * C`` channels.
        weights: ``[T, out, P * C]``.

    Returns:
        ``[T, N, out]``.
    """
    (common, z, B), (_, rows, pieces, rank) = streams, streams.z.shape
    exact = torch.promote_types(common.dtype, torch.float32)
    scaled = weights * norm.weight
    centred = common.flatten(2)
    centred = centred - centred.mean(-1, keepdim=True)
    projected, variance = with_each(scaled, centred), centred.to(exact).square().mean(-1)
    if rank:
        # the pieces have B in common, and a sum over centred channels takes no notice of a mean
        across = with_each(B, centred.view(len(common), rows * pieces, -1))
        with without_autocast(z):  # squares may leave the range of half precision
            z, across, B, scaled = z.flatten(2).to(exact), across.to(exact), B.to(exact), scaled.to(exact)
            apart = torch.eye(pieces, dtype=exact, device=B.device)[:, None, :, None] * B[:, None, :, None]
            apart = apart.flatten(3).flatten(1, 2)  # [T, P * R, P * C]
            apart = apart - apart.mean(-1, keepdim=True)
            of_z = ((2 * across.reshape(z.shape) + z @ (apart @ apart.mT)) * z).sum(-1)
            variance = (variance + of_z / apart.shape[-1]).clamp(min=0)
            projected = (projected + z @ (apart @ scaled.mT)).to(projected.dtype)
    inverse = torch.rsqrt(variance + norm.eps)[..., None]
    return (projected * inverse + (weights * norm.bias).sum(-1)[:, None]).to(projected.dtype)


def low_rank_mlp(h: Tensor, z: Tensor, B: Tensor, A: Tensor) -> Tensor:
    """``gelu(h + z_t B_t) A_t'``, ``[T, N, r]``, without ever storing what the GELU gives.

    Args:
        h: ``[N, F]``.
        z: ``[T, N, r]``.
        B, A: ``[T, r, F]``.
    """
    if torch.compiler.is_compiling():  # the compiler chooses by itself what to keep and what to recompute
        return F.gelu(h + z @ B) @ A.mT
    tensors = in_autocast_dtype(h, z, B, A)
    with without_autocast(h):
        return _LowRankMlp.apply(*tensors)


class _LowRankMlp(torch.autograd.Function):
    """:func:`low_rank_mlp` on tensors of one dtype, a few rows at a time."""

    @staticmethod
    def forward(ctx, h: Tensor, z: Tensor, B: Tensor, A: Tensor) -> Tensor:
        ctx.save_for_backward(h, z, B, A)
        out = z.new_empty(*z.shape[:2], A.shape[1])
        for part, hidden in _chunks(h, len(z), buffers=1):
            torch.baddbmm(h[part].expand_as(hidden), z[:, part], B, out=hidden)
            out[:, part] = torch.ops.aten.gelu.out(hidden, out=hidden) @ A.mT
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        h, z, B, A = ctx.saved_tensors
        d_h, d_z = torch.empty_like(h), torch.empty_like(z)
        # sums over chunks, in single precision at least
        d_B, d_A = (torch.zeros_like(x, dtype=torch.promote_types(x.dtype, torch.float32)) for x in (B, A))
        for part, hidden, active in _chunks(h, len(z), buffers=2):
            torch.baddbmm(h[part].expand_as(hidden), z[:, part], B, out=hidden)
            torch.ops.aten.gelu.out(hidden, out=active)
            d_A += grad[:, part].mT @ active
            d_active = torch.bmm(grad[:, part], A, out=active)  # `active` itself has served
            d_hidden = torch.ops.aten.gelu_backward.grad_input(d_active, hidden, grad_input=hidden)
            torch.sum(d_hidden, 0, out=d_h[part])
            d_z[:, part] = d_hidden @ B.mT
            d_B += z[:, part].mT @ d_hidden
        return d_h, d_z, d_B.to(B.dtype), d_A.to(A.dtype)


def _chunks(h: Tensor, tasks: int, buffers: int) -> Iterator[tuple]:
    """Slices of the rows of ``h`` ``[N, F]``, with buffers ``[tasks, n, F]``.

    The buffers are reused: on a CPU a fresh one costs more (page faults) than what is written to it.
    """
    rows, width = h.shape
    step = min(rows, max(1, CHUNK.get(h.device.type, CHUNK_ELSEWHERE) // (buffers * tasks * width)))
    memory = [h.new_empty(tasks * step * width) for _ in range(buffers)]
    for start in range(0, rows, step):
        shape = (tasks, min(step, rows - start), width)
        yield slice(start, start + shape[1]), *(buffer[: math.prod(shape)].view(shape) for buffer in memory)
