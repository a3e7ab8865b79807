"""The gates: how much each task takes of each expert, and of its memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.losses.reduction import sum_over_processes
from mtl.ops.linear import behind_affine

GATES = ('pixel', 'image', 'static')  # see :func:`mtl.ops.mixture_of_experts.softmax_gates`


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


def gate_weights(
    gates: Sequence[Gate], kind: str, scale: Tensor, shift: Tensor, memory: bool
) -> tuple[Tensor, list[Tensor]]:
    """What :func:`mtl.ops.mixture_of_experts.softmax_gates` takes of ``T`` tasks (linear in their input: ours).

    Args:
        gates: one per task.
        kind: of :data:`GATES`.
        scale, shift: ``[k]``: the first source is taken as ``scale * x + shift``.
        memory: the memory is a second source.

    Returns:
        Biases ``[T, choices]``, and of each source weights ``[T, choices, k]``.
    """
    biases = torch.stack([each.bias for each in gates])
    if kind == 'static':
        return biases, []
    of = [torch.stack([each.of(source, len(scale)) for each in gates]) for source in range(1 + memory)]
    of[0], biases = behind_affine(of[0], biases, scale, shift)
    return biases, of


def importance_balance(gates: Tensor) -> Tensor:
    """Squared coefficient of variation of the mean gates, 0 where all are used alike (Shazeer et al., ICLR 2017).

    The mean is over the processes of a distributed run, too.

    Args:
        gates: ``[..., choices]``.
    """
    total = gates.sum(tuple(range(gates.dim() - 1)))
    mean = sum_over_processes(total) / sum_over_processes(total.new_tensor(gates[..., 0].numel()))
    return mean.var(unbiased=False) / mean.mean() ** 2
