"""Closed forms of linear layers with and without adapters, as they run in evaluation without gradients.

``n_in``, ``n_out`` and ``rows`` are numbers or integer arrays ``[N]``, one entry a width.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import nn

from mtl.models.adapters.bottleneck import BottleneckLinear
from mtl.models.adapters.folding import TaskLinear
from mtl.models.adapters.merging import SHARED
from mtl.models.adapters.mtlora import MTLoRALinear
from mtl.ops.low_rank_linear import composing_pays, second_product_pays
from mtl.search.cost.shapes import Count


def linear_macs(layer: nn.Module, rows: Count, n_in: Count, n_out: Count) -> Count:
    """Multiplications of ``layer(x)`` for ``x`` ``[rows, n_in]``."""
    product = rows * n_in * n_out
    if isinstance(layer, BottleneckLinear):
        return product + 2 * rows * n_out * layer.down.out_features
    if isinstance(layer, MTLoRALinear) and layer.shared is not None:
        rank = layer.shared.rank
        factored = product + rows * rank * (n_in + n_out)
        return np.where(composing_pays(rows, n_in, n_out), product + rank * n_in * n_out, factored)
    return product


def streams_macs(
    layer: nn.Module,
    rows: Count,
    n_in: Count,
    n_out: Count,
    tasks: tuple[str, ...],
    own: bool,
    keep_shared: bool = True,
) -> Count:
    """Multiplications of ``layer`` on stacked streams of ``rows`` rows each.

    Args:
        layer, rows, n_in, n_out: see :func:`linear_macs`.
        tasks: tasks with a stream in this block.
        own: whether their streams have begun before this layer; else it begins them if it has updates of their own.
        keep_shared: whether the shared output is wanted.
    """
    if not starts_streams(layer, tasks):
        streams = 1 + len(tasks) if own else 1
        return linear_macs(layer, rows * (streams if keep_shared or not own else streams - 1), n_in, n_out)
    base = rows * n_in * n_out
    if isinstance(layer, TaskLinear):
        return base * (len(tasks) + keep_shared)
    rank = max(layer.tasks[task].rank for task in tasks)  # smaller ones are padded to it
    total = shared_and_base_macs(layer, rows, n_in, n_out, keep_shared) + len(tasks) * rows * rank * (n_in + n_out)
    return total + len(tasks) * base if own and layer.base_input == 'task' else total


def shared_and_base_macs(layer: MTLoRALinear, rows: Count, n_in: Count, n_out: Count, keep_shared: bool) -> Count:
    """Multiplications of the shared output and of what all task outputs have in common; see :func:`streams_macs`."""
    product, adds_shared = rows * n_in * n_out, layer.mode == 'matrixv2'
    if layer.shared is None or not (keep_shared or adds_shared) or (adds_shared and layer.merged == SHARED):
        return product
    rank = layer.shared.rank
    factored = rows * rank * (n_in + n_out)
    if adds_shared:
        return product + factored
    composed = 0 if layer.merged == SHARED else rank * n_in * n_out
    return product + np.where(second_product_pays(rows, n_in, n_out, rank), product + composed, factored)


def norm_and_project_macs(tasks: int, rows: Count, pieces: int, channels: int, rank: int, n_out: Count) -> Count:
    """Multiplications of :func:`mtl.ops.low_rank_streams.norm_and_project`.

    Args:
        tasks, rows, pieces, channels, rank: of the streams.
        n_out: rows of the weights of a task.
    """
    total = rows * pieces * channels * n_out
    if rank:
        wide, whole = pieces * rank, pieces * channels
        total = total + rows * pieces * channels * rank + wide * (whole + rows) * (wide + n_out)
    return tasks * total


def starts_streams(layer: nn.Module, tasks: Iterable[str]) -> bool:
    """Whether the layer has updates or weights of some of ``tasks``."""
    return isinstance(layer, (MTLoRALinear, TaskLinear)) and any(task in layer.tasks for task in tasks)
