"""The streams of several tasks, held as what they share and products of low rank.

In the last block of a stage, with the frozen products done once on the shared stream, a task's stream differs from
it by products of rank ``r`` only:

    u_t = x + (p + B0_t z_t)                      after the attention's projection, z_t of rank r
    y_t = u_t + (q + B2_t A2_t gelu(h + B1_t A1_t norm(u_t)))

with ``p``, ``h``, ``q`` the frozen projection, first and second layer of the MLP, all on the shared stream. So ``u_t``,
``y_t`` and the input of the GELU are :class:`LowRankStreams`: a common stream and a product of low rank, never written
out. A layer asks its input for one thing, the product with matrices of few rows, and each kind of stream has a short
way to it: :func:`norm_and_project` after a norm, :func:`low_rank_mlp` after a GELU.

The GELU is the one place where the result is not a product of low rank: it is four times as wide as the stream, per
task, and not linear. Its values are made from ``h`` and numbers of rank ``r`` a few rows at a time, which stay in the
processor's cache, in the forward pass and again in the backward pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

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


class TaskStreams(Protocol):
    """``T`` streams of ``N`` rows, in whatever form."""

    def dense(self) -> Tensor:
        """``[T, N, C]``, written out."""

    def project(self, weights: Tensor) -> Tensor:
        """``W_t y_t`` for weights ``[T, out, C]``: ``[T, N, out]``."""

    def low_rank(self) -> LowRankStreams:
        """As a common stream and a product of low rank; of rank 0 where that takes writing out."""


class LowRankStreams(NamedTuple):
    """``T`` streams ``common + z_t B_t``.

    Attributes:
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

    def project(self, weights: Tensor) -> Tensor:
        """``W_t y_t`` of rows ``[T, N, C]``: ``[T, N, out]``."""
        projected = with_each(weights, self.common)
        return projected + self.z @ (self.B @ weights.mT) if self.z.shape[-1] else projected

    def low_rank(self) -> LowRankStreams:
        """The streams as they are."""
        return self

    def plus(self, other: LowRankStreams) -> LowRankStreams:
        """Sums of the streams; the ranks add up."""
        z, B = torch.cat([self.z, other.z], -1), torch.cat([self.B, other.B], 1)
        return LowRankStreams(self.common + other.common, z, B)

    def scaled(self, gamma: Tensor) -> LowRankStreams:
        """Channels times ``gamma`` ``[C]``."""
        return LowRankStreams(self.common * gamma, self.z, self.B * gamma)

    def times(self, factors: Tensor) -> LowRankStreams:
        """Rows times ``factors`` ``[T, N, 1]``."""
        return LowRankStreams(self.common * factors, self.z * factors, self.B)

    def of(self, indices: Sequence[int]) -> LowRankStreams:
        """Some of the streams."""
        if list(indices) == list(range(len(self.z))):
            return self
        common = self.common if len(self.common) == 1 else self.common[indices]
        return LowRankStreams(common, self.z[indices], self.B[indices])

    def unflatten(self, dim: int, sizes: Sequence[int]) -> LowRankStreams:
        """An axis between the first and the last, as several."""
        return LowRankStreams(self.common.unflatten(dim, sizes), self.z.unflatten(dim, sizes), self.B)


class NormedStreams(NamedTuple):
    """``norm(y_t)`` of streams ``y_t`` ``[T, N, C]``."""

    streams: LowRankStreams
    norm: nn.Module

    def dense(self) -> Tensor:
        """``[T, N, C]``."""
        return self.norm(self.streams.dense())

    def project(self, weights: Tensor) -> Tensor:
        """See :func:`norm_and_project`."""
        assert isinstance(self.norm, nn.LayerNorm)
        return norm_and_project(self.streams.unflatten(1, (-1, 1)), self.norm, weights)

    def low_rank(self) -> LowRankStreams:
        """Written out."""
        return LowRankStreams.of_rank_0(self.dense())


class ActiveStreams(NamedTuple):
    """``gelu(y_t)`` of streams ``y_t`` ``[T, N, C]``."""

    streams: LowRankStreams

    def dense(self) -> Tensor:
        """``[T, N, C]``."""
        return F.gelu(self.streams.dense())

    def project(self, weights: Tensor) -> Tensor:
        """See :func:`low_rank_mlp`."""
        common, z, B = self.streams
        if len(common) > 1 or not z.shape[-1]:
            return with_each(weights, self.dense())
        return low_rank_mlp(common[0], z, B, weights)

    def low_rank(self) -> LowRankStreams:
        """Written out."""
        return LowRankStreams.of_rank_0(self.dense())


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
    def forward(ctx: Any, h: Tensor, z: Tensor, B: Tensor, A: Tensor) -> Tensor:
        ctx.save_for_backward(h, z, B, A)
        out = z.new_empty(*z.shape[:2], A.shape[1])
        for part, hidden in _chunks(h, len(z), buffers=1):
            torch.baddbmm(h[part].expand_as(hidden), z[:, part], B, out=hidden)
            out[:, part] = torch.ops.aten.gelu.out(hidden, out=hidden) @ A.mT
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
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
