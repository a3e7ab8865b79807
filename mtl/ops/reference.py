"""The equations as the papers write them: what every fast function of :mod:`mtl.ops` must give, gradients included.

Nothing here is fast and nothing runs in a network. Each function states one equation with plain products and loops, so
that it can be compared with the paper by eye; the tests compare the rest of :mod:`mtl.ops` with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``W x + b`` for ``x`` ``[..., in]``; with ``gelu``, ``gelu(W x + b)``."""
    y = torch.einsum('...i,oi->...o', x, weight)
    y = y if bias is None else y + bias
    return y * 0.5 * (1 + torch.erf(y / 2**0.5)) if gelu else y


def slimmed_linear(x: Tensor, weight: Tensor, bias: Tensor, n_out: int) -> Tensor:
    """The first ``n_out`` outputs, of the first ``k`` inputs ``[..., k]`` alone (ECMT, ICCV 2023)."""
    return linear(x, weight[:n_out, : x.shape[-1]], bias[:n_out])


def dropout(x: Tensor, kept: Tensor, p: float) -> Tensor:
    """Inverted dropout, given which entries are kept (1) and which not (0)."""
    return x * kept / (1 - p)


def low_rank_linear(x: Tensor, weight: Tensor, bias: Tensor | None, A: Tensor, B: Tensor) -> Tensor:
    """``W x + b + B A x`` (LoRA, Hu et al., ICLR 2022); ``A`` ``[r, in]``, ``B`` ``[out, r]`` with the scale in it."""
    return linear(x, weight, bias) + linear(linear(x, A), B)


def mtlora_linear(
    x: Tensor,
    own: Sequence[Tensor] | None,
    weight: Tensor,
    bias: Tensor | None,
    shared: tuple[Tensor, Tensor] | None,
    tasks: Sequence[tuple[Tensor, Tensor]],
    mode: str = 'matrix',
    task_base: bool = False,
    norm: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The shared output ``y`` and the outputs ``y_t`` of the tasks (MTLoRA, CVPR 2024, eq. 3-4 and public code).

    Args:
        x: the shared stream ``[N, in]``.
        own: the stream of each task; ``None`` where they begin here: then each task reads ``x``.
        weight, bias: ``W`` and ``b``.
        shared: ``(A, B)``.
        tasks: ``(A_t, B_t)`` of each task.
        mode: `matrix`, `matrixv2` or `addition`.
        task_base: ``W x_t`` in place of ``W x`` where the task has a stream.
        norm: weight and bias of the LayerNorm of mode `addition`.
    """
    base = linear(x, weight, bias)
    update = torch.zeros_like(base) if shared is None else linear(linear(x, shared[0]), shared[1])
    outputs = []
    for index, (A, B) in enumerate(tasks):
        stream = x if own is None else own[index]
        of_base = linear(stream, weight, bias) if task_base else base
        outputs.append(of_base + linear(linear(stream, A), B) + (update if mode == 'matrixv2' else 0))
    if mode == 'addition':
        assert norm is not None
        update = layer_norm(torch.stack(outputs).sum(0), *norm)
    return base + update, outputs


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * w + b`` over the last axis, of ``k`` channels, by the first ``k`` of both."""
    k = x.shape[-1]
    centred = x - x.mean(-1, keepdim=True)
    return centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + eps) * weight[:k] + bias[:k]


def task_streams(common: Tensor, z: Tensor, B: Tensor) -> Tensor:
    """``common + B_t z_t`` for ``common`` ``[., ..., C]``, ``z`` ``[T, ..., r]``, ``B`` ``[T, r, C]``."""
    return common + torch.einsum('t...r,trc->t...c', z, B)


def each_linear(streams: Tensor, weights: Tensor) -> Tensor:
    """``W_t y_t`` of streams ``[S, ..., C]`` and matrices ``[T, out, C]``; ``S`` is ``T``, or 1 for all."""
    return torch.stack([linear(streams[t if len(streams) > 1 else 0], weight) for t, weight in enumerate(weights)])


def task_stream_block(
    x: Tensor, p: Tensor, z: Tensor, h: Tensor, q: Tensor, factors: Sequence[Tensor], norm: tuple[Tensor, Tensor]
) -> Tensor:
    """Stream of one task behind a block (MTLoRA, CVPR 2024, figure 3): ``y`` of :mod:`mtl.ops.low_rank_streams`.

    Args:
        x: input of the block ``[N, C]``.
        p, h, q: frozen products of the shared stream, ``[N, C]``, ``[N, F]``, ``[N, C]``.
        z: ``A_0`` applied to the input of the projection, ``[N, r]``.
        factors: ``B0`` ``[r, C]``, ``A1`` ``[r, C]``, ``B1`` ``[r, F]``, ``A2`` ``[r, F]``, ``B2`` ``[r, C]``.
        norm: weight and bias of the norm before the MLP.
    """
    B0, A1, B1, A2, B2 = factors
    u = x + p + z @ B0
    hidden = h + layer_norm(u, *norm) @ A1.T @ B1
    return u + q + F.gelu(hidden) @ A2.T @ B2


def merged_and_projected(streams: Tensor, norm: tuple[Tensor, Tensor], reduction: Tensor, weights: Tensor) -> Tensor:
    """``P_t R norm(n)`` of every 2 x 2 patch ``n`` (Swin, Liu et al., ICCV 2021, section 3.1; then a projection).

    Args:
        streams: ``[T, B, H, W, C]``; a patch is ``[x(0,0), x(1,0), x(0,1), x(1,1)]`` by (row, column).
        norm: weight and bias, over ``4 C``.
        reduction: ``R`` ``[2 C, 4 C]``.
        weights: ``P`` ``[T, out, 2 C]``.
    """
    corners = [streams[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
    return each_linear(linear(layer_norm(torch.cat(corners, -1), *norm), reduction), weights)


def window_attention(qkv: Tensor, bias: Tensor, scale: float, window: Sequence[int], shift: Sequence[int]) -> Tensor:
    """Attention in shifted windows (Swin, section 3.2), one window, head and image at a time.

    Args:
        qkv: ``[B, H, W, 3 * heads * head_dim]``. Where the sides are not multiples of the window, zeros are appended
            below and on the right after the roll; they take part.
        bias: ``[heads, N, N]`` for ``N`` tokens of a window, row after row.
        scale: of the products of queries and keys.
        window, shift: rows and columns.

    Returns:
        ``[B, H, W, heads * head_dim]``.
    """
    batch, height, width, _ = qkv.shape
    (rows, columns), heads = window, len(bias)
    down, across = -(-height // rows) * rows, -(-width // columns) * columns
    rolled = torch.roll(qkv, (-shift[0], -shift[1]), (1, 2))
    padded = F.pad(rolled, (0, 0, 0, across - width, 0, down - height)).unflatten(-1, (3, heads, -1))
    # the last `shift` rows and columns come from the other side of the map
    side_y, side_x = torch.arange(down) >= down - shift[0], torch.arange(across) >= across - shift[1]
    out = padded.new_zeros(batch, down, across, heads, padded.shape[-1])
    for top in range(0, down, rows):
        for left in range(0, across, columns):
            place = slice(top, top + rows), slice(left, left + columns)
            side = 2 * side_y[place[0], None].long() + side_x[None, place[1]].long()
            apart = side.flatten()[:, None] != side.flatten()[None]
            for image in range(batch):
                for head in range(heads):
                    q, k, v = padded[image, place[0], place[1], :, head].flatten(0, 1).unbind(1)
                    scores = scale * q @ k.T + bias[head] - 100.0 * apart
                    out[image, place[0], place[1], head] = (scores.softmax(-1) @ v).view(rows, columns, -1)
    return torch.roll(out[:, :height, :width].flatten(3), tuple(shift), (1, 2))


def fuse_levels(levels: Sequence[Tensor], weight: Tensor, bias: Tensor) -> Tensor:
    """Upsample ``[B, H_l, W_l, c_l]`` to the first one's size, concatenate, 1x1 convolution (HRNet, TPAMI 2020)."""
    size = levels[0].shape[1:3]
    maps = [F.interpolate(x.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=False) for x in levels]
    return F.conv2d(torch.cat(maps, 1), weight[:, :, None, None], bias).permute(0, 2, 3, 1)


def gates(bias: Tensor, weights: Sequence[Tensor], sources: Sequence[Tensor], kind: str = 'pixel') -> Tensor:
    """``softmax(sum_s G_s x_s + b)`` of one task (TaskExpert, ICCV 2023, section 3.2; linear: ours).

    Args:
        bias: ``[choices]``.
        weights: ``G_s`` ``[choices, k]``.
        sources: ``x_s`` ``[B, H, W, k]``.
        kind: ``'image'``: the logits are means over the pixels.
    """
    logits = bias + sum(linear(source, weight) for source, weight in zip(sources, weights, strict=True))
    return (logits.mean((1, 2)) if kind == 'image' else logits).softmax(-1)


def expert(
    x: Tensor,
    expand: Tensor,
    expand_bias: Tensor,
    depthwise: Tensor,
    depthwise_bias: Tensor,
    reduce: Tensor,
    reduce_bias: Tensor,
) -> Tensor:
    """``E(x) = W gelu(depthwise3x3(V x + c) + d) + b`` of one expert (TaskExpert; ours), ``x`` ``[B, H, W, k]``."""
    units = linear(x, expand, expand_bias).permute(0, 3, 1, 2)
    units = F.conv2d(units, depthwise[:, None], depthwise_bias, padding=1, groups=len(depthwise))
    return linear(F.gelu(units).permute(0, 2, 3, 1), reduce, reduce_bias)


def mixture(outputs: Sequence[Tensor], gates: Tensor) -> Tensor:
    """``sum_n g_n E_n``: outputs ``[B, H, W, k]`` of each expert, gates ``[B, H, W, N]``."""
    return torch.stack([gates[..., n : n + 1] * output for n, output in enumerate(outputs)]).sum(0)


def memory_read(memory: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``R(m) = W m + b`` of a normalised memory (TaskExpert, section 3.3; linear: ours)."""
    return linear(memory, weight, bias)


def memory_write(
    memory: Tensor,
    normed: Tensor,
    feature: Tensor,
    update: Tensor,
    update_bias: Tensor,
    gate: Tensor,
    gate_bias: Tensor,
) -> Tensor:
    """``M + sigmoid(v [m, f] + d) * (U [m, f] + c)`` (TaskExpert, section 3.3; the gate: ours).

    Args:
        memory, normed, feature: ``M``, ``m`` and ``f``, ``[..., k]``.
        update, update_bias: ``U`` ``[k, 2 k]`` and ``c`` ``[k]``.
        gate, gate_bias: ``v`` ``[2 k]`` and ``d`` ``[1]``.
    """
    both = torch.cat([normed, feature], -1)
    return memory + torch.sigmoid(linear(both, gate[None], gate_bias)) * linear(both, update, update_bias)
