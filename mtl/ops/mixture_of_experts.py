"""TaskExpert's arithmetic: gates, experts that stand side by side in one network, and the memory (see the decoder).

Sizes: ``T`` tasks, or ``S`` features where that may be 1 for all tasks; ``N`` experts of ``h`` hidden units; ``k``
channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl.ops.linear import with_each


def softmax_gates(biases: Tensor, weights: Sequence[Tensor], sources: Sequence[Tensor], kind: str = 'pixel') -> Tensor:
    """``softmax(sum_s G_t,s x_s + b_t)`` over the choices.

    Args:
        biases: ``[T, choices]``.
        weights: of each source ``[T, choices, k]``.
        sources: ``[S, B, H, W, k]`` each, ``S`` being ``T`` or 1.
        kind: ``'pixel'``, or ``'image'``: of the mean over the pixels.

    Returns:
        ``[T, B, H, W, choices]``, or ``[T, B, choices]``.
    """
    logits = biases[:, None]
    for weight, source in zip(weights, sources, strict=True):
        # the mean of linear maps is the map of the mean
        logits = logits + with_each(weight, source.mean((2, 3)) if kind == 'image' else source.flatten(1, 3))
    values = logits.softmax(-1)
    return values if kind == 'image' else values.unflatten(1, sources[0].shape[1:4])


def expert_units(x: Tensor, expand: Tensor, expand_bias: Tensor, depthwise: Tensor, depthwise_bias: Tensor) -> Tensor:
    """``a_n = gelu(depthwise3x3(V_n x + c_n) + d_n)`` of all experts.

    Args:
        x: ``[S, B, H, W, k]``.
        expand, expand_bias: ``V`` ``[N, h, k]`` and ``c`` ``[N, h]``.
        depthwise, depthwise_bias: ``[N, h, 3, 3]`` and ``d`` ``[N, h]``.

    Returns:
        ``[S, B, H, W, N, h]``.
    """
    units = F.linear(x.flatten(0, 1), expand.flatten(0, 1), expand_bias.flatten()).permute(0, 3, 1, 2)
    kernel = depthwise.flatten(0, 1).unsqueeze(1)
    units = F.conv2d(units, kernel, depthwise_bias.flatten(), padding=1, groups=len(kernel))
    return F.gelu(units).permute(0, 2, 3, 1).unflatten(-1, expand.shape[:2]).unflatten(0, x.shape[:2])


def mix_units(units: Tensor, gates: Tensor, reduce: Tensor, reduce_bias: Tensor) -> Tensor:
    """``sum_n g_n (W_n a_n + b_n)``, each task of its own units, as one product with all experts.

    Args:
        units: ``[T, B, H, W, N, h]``.
        gates: ``[T, B, H, W, N]``.
        reduce, reduce_bias: ``W`` ``[N, k, h]`` and ``b`` ``[N, k]``.

    Returns:
        ``[T, B, H, W, k]``.
    """
    bias = gates.flatten(0, 3) @ reduce_bias
    gated = (units * gates.unsqueeze(-1)).flatten(0, 3).flatten(1)
    return torch.addmm(bias, gated, reduce.transpose(1, 2).flatten(0, 1)).unflatten(0, gates.shape[:4])


def expert_outputs(units: Tensor, reduce: Tensor, reduce_bias: Tensor) -> Tensor:
    """``W_n a_n + b_n`` of one feature: units ``[1, B, H, W, N, h]`` to ``[B * H * W, N, k]``."""
    rows = units.flatten(0, 3).transpose(0, 1)
    return torch.baddbmm(reduce_bias[:, None], rows, reduce.transpose(1, 2)).transpose(0, 1)


def mix_outputs(outputs: Tensor, gates: Tensor) -> Tensor:
    """``sum_n g_t,n E_n``, the same outputs for all tasks.

    Args:
        outputs: ``[B * H * W, N, k]``.
        gates: ``[T, B, H, W, N]``.

    Returns:
        ``[T, B, H, W, k]``.
    """
    mixed = gates.flatten(1, 3).transpose(0, 1) @ outputs
    return mixed.transpose(0, 1).unflatten(1, gates.shape[1:4])


def memory_write(
    memory: Tensor,
    normed: Tensor,
    feature: Tensor,
    update: Tensor,
    update_bias: Tensor,
    gate: Tensor,
    gate_bias: Tensor,
) -> Tensor:
    """``M + sigmoid(v_1 m + v_2 f + d) * (U_1 m + U_2 f + c)``, the gate one number per pixel.

    Args:
        memory, normed, feature: ``M``, ``m`` and ``f``, ``[T, B, H, W, k]``.
        update, update_bias: ``U`` ``[k, 2, k]`` and ``c`` ``[k]``.
        gate, gate_bias: ``v`` ``[2, k]`` and ``d`` ``[1]``.
    """
    from_memory, from_feature = update.unbind(1)
    change = F.linear(normed.flatten(0, 3), from_memory, update_bias)
    change = torch.addmm(change, feature.flatten(0, 3), from_feature.T).view_as(memory)
    openness = normed @ gate[0] + feature @ gate[1] + gate_bias
    return torch.addcmul(memory, openness.sigmoid().unsqueeze(-1), change)


def prefix_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Layer norm over the last axis of ``x``, of ``k`` channels, by the first ``k`` of ``weight`` and ``bias``."""
    channels = x.shape[-1]
    return F.layer_norm(x, (channels,), weight[:channels], bias[:channels], eps)
