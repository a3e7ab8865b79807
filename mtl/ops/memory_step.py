"""What a level of a TaskExpert decoder does to the memories of its tasks, in one pass over the pixels.

Sizes: ``T`` tasks; ``P`` pixels of all images; ``S`` features, ``T`` or 1 for all tasks; ``N`` experts of ``h`` hidden
units; ``C = N + 1`` choices; ``k`` channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtl.ops.direct import is_direct
from mtl.ops.linear import with_each
from mtl.ops.mixture_of_experts import (
    expert_outputs,
    memory_write,
    mix_outputs,
    mix_units,
    prefix_norm,
    softmax_gates,
)

ROWS = 2048  # rows of all tasks, per thread, that are taken at a time: what a step makes of them stays in the second-level cache


class Reading(NamedTuple):
    """How a level reads and writes memories; every weight is cut to ``k`` channels and ``h`` hidden units.

    Attributes:
        norm: weight and bias ``[k]`` of the norm of the memory.
        eps: of that norm.
        reduce: of the experts, ``W`` ``[N, k, h]`` and ``b`` ``[N, k]``.
        read: ``R`` ``[k, k]`` and ``r`` ``[k]``.
        update: ``U`` ``[k, 2, k]`` and ``c`` ``[k]``.
        gate: ``v`` ``[2, k]`` and ``d`` ``[1]``.
    """

    norm: tuple[Tensor, Tensor]
    eps: float
    reduce: tuple[Tensor, Tensor]
    read: tuple[Tensor, Tensor]
    update: tuple[Tensor, Tensor]
    gate: tuple[Tensor, Tensor]


def memory_step(
    memory: Tensor,
    x: Tensor,
    units: Tensor,
    entry: tuple[Tensor, Tensor] | None,
    gates: tuple[Tensor, Sequence[Tensor]],
    reading: Reading,
    kind: str = 'pixel',
) -> tuple[Tensor, Tensor]:
    """Enter, choose, read and write:

        A  = M + Q_t x + q_t
        m  = norm(A)
        g  = softmax(G_t,1 x + G_t,2 m + b_t)
        f  = sum_n g_n (W_n gelu(u_n) + b_n) + g_N+1 (R m + r)
        M' = A + sigmoid(v_1 m + v_2 f + d) (U_1 m + U_2 f + c)

    On a CPU nothing between the inputs and ``M'`` is a tensor of all pixels. ``f`` is never made: ``U_2`` and ``v_2``
    are composed with ``W_n`` and ``R`` first, which takes fewer multiplications where there are more pixels than hidden
    units. The norm's weight and bias go into the products behind it. For the backward pass, gates and ``U f`` are kept;
    everything else is computed again, in cache.

    Args:
        memory: ``M`` ``[T, B, H, W, k]``, or ``[T, 1, 1, 1, k]``, one vector for all pixels.
        x: ``[S, B, H, W, k]``.
        units: ``u``, the experts' hidden units before GELU, ``[S, B, H, W, N, h]``.
        entry: ``Q`` ``[T, k, k]`` and ``q`` ``[T, k]``; ``None`` where nothing enters.
        gates: ``b`` ``[T, C]``, and ``G_1`` and ``G_2`` ``[T, C, k]`` (none where `static`).
        reading: the other weights.
        kind: of the gates, see :func:`mtl.ops.mixture_of_experts.softmax_gates`.

    Returns:
        ``M'`` ``[T, B, H, W, k]`` and ``g`` ``[T, B, H, W, C]``.
    """
    if kind == 'pixel' and is_direct(memory, x, units, gates[0], reading.read[0]) and _pays(x, units, len(gates[0])):
        return _in_one_pass(memory, x, units, entry, gates, reading)
    return _one_by_one(memory, x, units, entry, gates, reading, kind)


def _one_by_one(
    memory: Tensor,
    x: Tensor,
    units: Tensor,
    entry: tuple[Tensor, Tensor] | None,
    gates: tuple[Tensor, Sequence[Tensor]],
    reading: Reading,
    kind: str,
) -> tuple[Tensor, Tensor]:
    """The equations as they stand: for compilers, exporters, accelerators, lower precision and other gates."""
    if entry is not None:
        weight, bias = entry
        brought = with_each(weight, x.flatten(1, 3)) + bias[:, None]
        memory = memory + brought.unflatten(1, x.shape[1:4])
    normed = prefix_norm(memory, *reading.norm, reading.eps)
    bias, weights = gates
    values = softmax_gates(bias, weights, [x, normed], kind)
    of_experts, of_memory = values[..., :-1], values[..., -1:]
    if len(units) == len(values):
        feature = mix_units(units, of_experts, *reading.reduce)
    else:
        feature = mix_outputs(expert_outputs(units, *reading.reduce), of_experts)
    feature = torch.addcmul(feature, of_memory, F.linear(normed, *reading.read))
    return memory_write(memory, normed, feature, *reading.update, *reading.gate), values


# ---- in one pass ----------------------------------------------------------------------------------------------------


def _in_one_pass(
    memory: Tensor,
    x: Tensor,
    units: Tensor,
    entry: tuple[Tensor, Tensor] | None,
    gates: tuple[Tensor, Sequence[Tensor]],
    reading: Reading,
) -> tuple[Tensor, Tensor]:
    """Composed weights, and the pass that :class:`_Step` describes."""
    bias, (of_x, of_memory) = gates
    tasks, shape = len(bias), x.shape[1:4]
    (U, c), (v, d), (R, r), (W, b) = reading.update, reading.gate, reading.read, reading.reduce
    # the change U f and the gate v f are one product: of k + 1 outputs
    writes, shift = torch.cat([U, v[None]]), torch.cat([c, d])
    of_normed, of_feature = writes.unbind(1)
    behind = torch.cat([of_normed, of_feature @ R]).expand(tasks, -1, -1)
    behind = torch.cat([of_memory, behind], 1)
    behind_bias = torch.cat([bias, torch.cat([shift, of_feature @ r]).expand(tasks, -1)], 1)
    scale, offset = reading.norm
    starts = memory.shape[1:4] != shape  # from one vector for all pixels
    start: Tensor | None = None
    if entry is not None:
        of_x, start = torch.cat([entry[0], of_x], 1), entry[1]
    if starts:
        embedding = memory.flatten(1, 3)[:, 0]
        start = embedding if start is None else start + embedding
    arguments = (
        None if starts else memory.flatten(1, 3).contiguous(),
        start,
        x.flatten(1, 3).contiguous(),
        units.flatten(1, 3).contiguous(),
        of_x,
        behind * scale,
        behind_bias + behind @ offset,
        of_feature @ W,
        b @ of_feature.T,
    )
    given = [each for each in arguments if each is not None]
    if torch.is_grad_enabled() and any(each.requires_grad for each in given):
        left, values = _Step.apply(*arguments, reading.eps)
    else:
        left, values, _ = _forward(*arguments, reading.eps, keeps=False)
    return left.unflatten(1, shape), values.mT.unflatten(1, shape)


class _Step(torch.autograd.Function):
    """A step with composed weights. Of a task, with ``g`` its gates and ``e`` the memory's among them:

        A         = M + s + Q x                 M or Q may be missing
        [l, y, z] = V norm(A) + t               logits; U_1 m + c and U_2 (R m + r), both with the openness below
        g         = softmax(l + G x)
        c         = y + e z + sum_n g_n (W_n gelu(u_n) + b_n)           of k changes and an openness
        M'        = A + sigmoid(c_k) c_:k

    ``M'``, ``g`` and ``c`` are kept. From these ``A`` follows without a product, and all else from ``A``.
    """

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor, Tensor]:
        left, gates, changes = _forward(*arguments, keeps=True)
        memory, start, x, units, of_x, behind, bias, reduce, reduce_bias, ctx.eps = arguments
        ctx.save_for_backward(x, units, of_x, behind, bias, reduce, reduce_bias, left, gates, changes)
        ctx.has_memory, ctx.has_start = memory is not None, start is not None
        ctx.set_materialize_grads(False)
        return left, gates

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_left: Tensor | None, d_gates: Tensor | None) -> tuple[Tensor | None, ...]:
        x, units, of_x, behind, bias, reduce, reduce_bias, left, gates, changes = ctx.saved_tensors
        (tasks, pixels, k), choices = left.shape, gates.shape[1]
        d_left = torch.zeros_like(left) if d_left is None else d_left
        d_memory = torch.empty_like(left) if ctx.has_memory else None
        d_x, sums = torch.empty_like(x), x.new_zeros(tasks, k + behind.shape[1])
        d_of_x, d_behind = torch.zeros_like(of_x), torch.zeros_like(behind)
        step, last = _step(tasks, pixels), choices + k + 1  # `last`: where z begins in V
        entering = slice(k + choices - of_x.shape[1], k + choices)
        mixture = _mixture(tasks, units, reduce, reduce_bias, step, differentiates=True)
        # gradients of A, l, y and z side by side: products take the first two, and the last three, as one
        buffer = x.new_empty(tasks * step * sums.shape[1])
        buffers = [x.new_empty(tasks * step * k) for _ in range(4)]
        ones, to_z = x.new_ones(k), behind[:, last:]
        for part in _parts(pixels, step):
            n = part.stop - part.start
            every = buffer[: tasks * n * sums.shape[1]].view(tasks, n, -1)
            entered, product, of_z, d_normed = (each[: tasks * n * k].view(tasks, n, k) for each in buffers)
            d_entered, d_logits, d_change, d_z = every.split((k, choices, k + 1, k + 1), 2)
            above, change, g = d_left[:, part], changes[:, part, :k], gates[:, :, part]
            openness, of_memory = changes[:, part, k:].sigmoid(), g[:, -1:].mT
            torch.addcmul(left[:, part], change, openness, value=-1, out=entered)
            normed, mean, scale = torch.native_layer_norm(entered, (k,), None, None, ctx.eps)

            torch.mul(above, openness, out=d_change[..., :k])
            d_open = torch.mul(above, change, out=product) @ ones
            d_change[..., k] = d_open * (openness - openness.square())[..., 0]
            torch.mul(d_change, of_memory, out=d_z)
            torch.bmm(d_change, to_z, out=of_z)
            d_of_memory = torch.mul(of_z, normed, out=product) @ ones + (d_change @ bias[:, last:, None])[..., 0]
            d_g = torch.cat([mixture.backward(part, g[:, :-1], d_change), d_of_memory[:, None]], 1)
            if d_gates is not None:
                d_g += d_gates[:, :, part]
            torch.mul(d_g - (d_g * g).sum(1, keepdim=True), g, out=d_logits.mT)

            torch.bmm(every[..., k : k + last], behind[:, :last], out=d_normed).addcmul_(of_z, of_memory)
            through_norm, _, _ = torch.ops.aten.native_layer_norm_backward(
                d_normed, entered, (k,), mean, scale, None, None, (True, False, False)
            )
            torch.add(through_norm, above, out=d_entered)
            if d_memory is not None:
                d_memory[:, part] = d_entered
            if len(x) == tasks:
                torch.bmm(every[..., entering], of_x, out=d_x[:, part])
            else:
                torch.sum(torch.bmm(every[..., entering], of_x, out=product), 0, keepdim=True, out=d_x[:, part])
            torch.baddbmm(d_of_x, every[..., entering].mT, x[:, part].expand(tasks, -1, -1), out=d_of_x)
            torch.baddbmm(d_behind, every[..., k:].mT, normed, out=d_behind)
            sums += every.sum(1)
        d_start, d_bias = sums.split((k, behind.shape[1]), 1)
        of_start = d_start if ctx.has_start else None
        return (
            d_memory,
            of_start,
            d_x,
            mixture.d_units,
            d_of_x,
            d_behind,
            d_bias,
            mixture.d_weight,
            mixture.d_bias,
            None,
        )


def _forward(
    memory: Tensor | None,
    start: Tensor | None,
    x: Tensor,
    units: Tensor,
    of_x: Tensor,
    behind: Tensor,
    bias: Tensor,
    reduce: Tensor,
    reduce_bias: Tensor,
    eps: float,
    *,
    keeps: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The equations of :class:`_Step`.

    Args:
        memory: ``M`` ``[T, P, k]``.
        start: ``s`` ``[T, k]``.
        x: ``[S, P, k]``.
        units: ``u`` ``[S, P, N, h]``.
        of_x: ``[Q, G]`` ``[T, k + C, k]``, or ``G`` alone ``[T, C, k]``.
        behind: ``V`` ``[T, C + 2 (k + 1), k]``.
        bias: ``t`` ``[T, C + 2 (k + 1)]``.
        reduce, reduce_bias: ``W`` ``[N, k + 1, h]`` and ``b`` ``[N, k + 1]``.
        eps: of the norm.
        keeps: ``c`` of all pixels is asked for.

    Returns:
        ``M'`` ``[T, P, k]``, ``g`` ``[T, C, P]``, whose pixels stand side by side because a softmax over the last and
        short axis is slow, and ``c`` ``[T, P, k + 1]`` (of few pixels unless ``keeps``).
    """
    (tasks, length, k), pixels = behind.shape, x.shape[1]
    choices, step = length - 2 * (k + 1), _step(tasks, pixels)
    left, gates = x.new_empty(tasks, pixels, k), x.new_empty(tasks, choices, pixels)
    changes = x.new_empty(tasks, pixels if keeps else step, k + 1)
    mixture = _mixture(tasks, units, reduce, reduce_bias, step)
    buffers = [x.new_empty(tasks * step * width) for width in (k, length)]
    of_entry, of_gates = of_x.split((of_x.shape[1] - choices, choices), 1)
    for part in _parts(pixels, step):
        n = part.stop - part.start
        entered, products = (
            each[: tasks * n * w].view(tasks, n, w) for each, w in zip(buffers, (k, length), strict=True)
        )
        given = x[:, part].expand(tasks, -1, -1)
        if of_entry.shape[1]:
            torch.bmm(given, of_entry.mT, out=entered)
            if start is not None:
                entered += start[:, None]
            if memory is not None:
                entered += memory[:, part]
        elif memory is not None:
            entered = memory[:, part]
        elif start is not None:
            entered.copy_(start[:, None].expand_as(entered))
        normed = torch.native_layer_norm(entered, (k,), None, None, eps)[0]
        torch.baddbmm(bias[:, None], normed, behind.mT, out=products)
        logits, y, z = products.split((choices, k + 1, k + 1), 2)
        g = torch.baddbmm(logits.mT, of_gates, given.mT).softmax(1)
        gates[:, :, part] = g
        change = changes[:, part] if keeps else changes[:, :n]
        torch.addcmul(y, z, g[:, -1:].mT, out=change)
        mixture.add(part, g[:, :-1], change)
        torch.addcmul(entered, change[..., :k], change[..., k:].sigmoid(), out=left[:, part])
    return left, gates, changes


class _Mixture(Protocol):
    """``sum_n g_n (W_n gelu(u_n) + b_n)``, a part of the pixels at a time.

    Attributes:
        d_units, d_weight, d_bias: gradients, which :meth:`backward` fills.
    """

    d_units: Tensor
    d_bias: Tensor

    @property
    def d_weight(self) -> Tensor: ...

    def add(self, part: slice, g: Tensor, total: Tensor) -> None:
        """Adds the mixtures with ``g`` ``[T, N, n]`` to ``total`` ``[T, n, out]``."""

    def backward(self, part: slice, g: Tensor, above: Tensor) -> Tensor:
        """The gradient of ``g``, given that of the mixtures."""


class _OwnUnits:
    """Each task mixes units of its own: the gates multiply the units, and one product takes them all.

    A product with zeros and ones repeats each gate for the units of its expert: it takes a third of the time of a
    multiplication that broadcasts along 40 units.
    """

    def __init__(self, units: Tensor, weight: Tensor, bias: Tensor, step: int, differentiates: bool) -> None:
        (experts, out, hidden), self.bias = weight.shape, bias
        self.units, self.weight = units.flatten(2), weight.transpose(0, 1).reshape(out, -1)
        self.blocks = torch.eye(experts, dtype=units.dtype, device=units.device).repeat_interleave(hidden, 1)
        size = len(units) * step * experts * hidden
        self.buffers = [units.new_empty(size) for _ in range(3 if differentiates else 2)]
        if differentiates:
            self.d_units, self.d_bias = torch.empty_like(units), torch.zeros_like(bias)
            self._d_weight, self._shape = torch.zeros_like(self.weight), (out, experts, hidden)

    @property
    def d_weight(self) -> Tensor:
        return self._d_weight.view(self._shape).transpose(0, 1)

    def add(self, part: slice, g: Tensor, total: Tensor) -> None:
        (active, gated), rows = self._of(part), g.mT.flatten(0, 1)
        torch.mm(rows, self.blocks, out=gated.flatten(0, 1))
        gated.mul_(active)
        total += torch.mm(gated.flatten(0, 1), self.weight.T).addmm_(rows, self.bias).view(total.shape)

    def backward(self, part: slice, g: Tensor, above: Tensor) -> Tensor:
        active, repeated, product = self._of(part)
        rows, above = g.mT.flatten(0, 1), above.flatten(0, 1)
        torch.mm(rows, self.blocks, out=repeated.flatten(0, 1))
        torch.mul(active, repeated, out=product)
        torch.addmm(self._d_weight, above.T, product.flatten(0, 1), out=self._d_weight)
        torch.addmm(self.d_bias, rows.T, above, out=self.d_bias)
        torch.mm(above, self.weight, out=product.flatten(0, 1))
        d_rows = torch.addmm(above @ self.bias.T, active.mul_(product).flatten(0, 1), self.blocks.T)
        of_units = self.d_units[:, part].flatten(2)
        torch.ops.aten.gelu_backward.grad_input(product.mul_(repeated), self.units[:, part], grad_input=of_units)
        return d_rows.view(len(g), -1, g.shape[1]).mT

    def _of(self, part: slice) -> list[Tensor]:
        units = self.units[:, part]
        buffers = [buffer[: units.numel()].view(units.shape) for buffer in self.buffers]
        torch.ops.aten.gelu.out(units, out=buffers[0])
        return buffers


class _SharedUnits:
    """All tasks mix the same units: the experts' outputs are computed once and never leave the cache."""

    def __init__(self, units: Tensor, weight: Tensor, bias: Tensor, step: int, differentiates: bool) -> None:
        (experts, out, _), self.units, self.weight, self.bias = weight.shape, units[0], weight, bias
        self.active, self.outputs = torch.empty_like(units[0, :step]), units.new_empty(step, experts, out)
        if differentiates:
            self.d_units, self.ones = torch.empty_like(units), units.new_ones(step)
            self.d_weight, self.d_bias = torch.zeros_like(weight), torch.zeros_like(bias)

    def add(self, part: slice, g: Tensor, total: Tensor) -> None:
        total += torch.bmm(g.permute(2, 0, 1).contiguous(), self._of(part)[1]).transpose(0, 1)

    def backward(self, part: slice, g: Tensor, above: Tensor) -> Tensor:
        active, outputs = self._of(part)
        of_pixels = above.transpose(0, 1).contiguous()
        d_g = torch.bmm(of_pixels, outputs.mT)
        d_outputs = torch.bmm(g.permute(2, 1, 0).contiguous(), of_pixels, out=outputs)
        for expert, weight in enumerate(self.weight):
            of_expert, total = d_outputs[:, expert], self.d_weight[expert]
            torch.addmm(total, of_expert.T, active[:, expert], out=total)
            torch.mm(of_expert, weight, out=active[:, expert])
        self.d_bias += d_outputs.sum(0)
        torch.ops.aten.gelu_backward.grad_input(active, self.units[part], grad_input=self.d_units[0, part])
        return d_g.permute(1, 2, 0)

    def _of(self, part: slice) -> tuple[Tensor, Tensor]:
        n = part.stop - part.start
        active, outputs = self.active[:n], self.outputs[:n]
        torch.ops.aten.gelu.out(self.units[part], out=active)
        for expert, (weight, bias) in enumerate(zip(self.weight, self.bias, strict=True)):
            torch.addmm(bias, active[:, expert], weight.T, out=outputs[:, expert])
        return active, outputs


def _mixture(
    tasks: int, units: Tensor, weight: Tensor, bias: Tensor, step: int, differentiates: bool = False
) -> _Mixture:
    kind = _OwnUnits if len(units) == tasks else _SharedUnits
    return kind(units, weight, bias, step, differentiates)


def _step(tasks: int, pixels: int) -> int:
    return min(pixels, max(1, ROWS * torch.get_num_threads() // tasks))


def _parts(pixels: int, step: int) -> Iterator[slice]:
    for start in range(0, pixels, step):
        yield slice(start, min(start + step, pixels))


def _pays(x: Tensor, units: Tensor, tasks: int) -> bool:
    """Whether composed weights save multiplications: with more rows than inputs of the maps that are composed."""
    return tasks * x.shape[1:4].numel() > units.shape[-2:].numel() + x.shape[-1]
