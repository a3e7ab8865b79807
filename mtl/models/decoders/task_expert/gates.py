"""The gates: how much each task takes of each expert, and of its memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.losses.reduction import sum_over_processes
from mtl.ops.mixture_of_experts import softmax_gates

GATES = ('pixel', 'image', 'static')


class Gate(nn.Module):
    """The linear gate of one task at one level, over ``choices`` things, of ``sources`` features of ``D`` channels.

    The weight is ``[choices, sources, D]``, so that a prefix of the channels is a prefix of each source.
    """

    def __init__(self, choices: int, sources: int, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(choices))
        self.weight: nn.Parameter | None = None
        if sources:
            self.weight = nn.Parameter(torch.empty(choices, sources, channels))
            nn.init.normal_(self.weight, std=0.02)

    def of(self, source: int, channels: int) -> Tensor:
        """The weight ``[choices, channels]`` of the first channels of a source."""
        assert self.weight is not None, 'a static gate reads nothing'
        return self.weight[:, source, :channels]


def gate(gates: Sequence[Gate], kind: str, sources: Sequence[Tensor]) -> Tensor:
    """Softmax gates of ``T`` tasks (TaskExpert, ICCV 2023, section 3.2; linear in its input: ours).

    Args:
        gates: one per task.
        kind: ``'pixel'``; ``'image'``, one decision per image from the mean over its pixels; ``'static'``, one decision
            for all images (the bias alone).
        sources: ``[S, B, H, W, k]`` each, ``S`` being ``T`` or 1, one feature for all tasks.

    Returns:
        ``[T, B, H, W, choices]``; for all but ``'pixel'`` a view that repeats itself over what it does not depend on.
    """
    biases = torch.stack([each.bias for each in gates])
    _, *shape, channels = sources[0].shape
    if kind == 'static':
        return biases.softmax(-1)[:, None, None, None].expand(-1, *shape, -1)
    weights = [torch.stack([each.of(index, channels) for each in gates]) for index in range(len(sources))]
    values = softmax_gates(biases, weights, sources, kind)
    return values if kind == 'pixel' else values[:, :, None, None].expand(-1, *shape, -1)


def importance_balance(gates: Tensor) -> Tensor:
    """Squared coefficient of variation of the mean gates, 0 where all are used alike (Shazeer et al., ICLR 2017).

    The mean is over the processes of a distributed run, too.

    Args:
        gates: ``[..., choices]``.
    """
    rows = gates.flatten(0, -2)
    mean = sum_over_processes(rows.sum(0)) / sum_over_processes(rows.new_tensor(len(rows)))
    return mean.var(unbiased=False) / mean.mean() ** 2
