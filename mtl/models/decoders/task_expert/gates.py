"""The gates: how much each task takes of each expert, and of its memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mtl.losses.reduction import sum_over_processes

GATES = ('pixel', 'image', 'static')


class Gate(nn.Module):
    """The linear gate of one task at one level, over ``choices`` things, of ``sources`` features of ``D`` channels.

    The weight is ``[choices, sources, D]``, so that a prefix of the channels is a prefix of each source.
    """

    def __init__(self, choices: int, sources: int, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(choices))
        self.weight = nn.Parameter(torch.empty(choices, sources, channels)) if sources else None
        if sources:
            nn.init.normal_(self.weight, std=0.02)


def gate(gates: Sequence[Gate], kind: str, sources: Sequence[Tensor]) -> Tensor:
    """Softmax gates of ``T`` tasks (TaskExpert, ICCV 2023, section 3.2; linear in its input: ours).

    Args:
        gates: one a task.
        kind: ``'pixel'``; ``'image'``, one decision an image, from the mean over its pixels; ``'static'``, one decision
            for all images (the bias alone).
        sources: ``[S, B, H, W, k]`` each, ``S`` being ``T`` or 1, one feature for all tasks.

    Returns:
        ``[T, B, H, W, choices]``; for all but ``'pixel'`` a view that repeats itself over what it does not depend on.
    """
    logits = torch.stack([each.bias for each in gates])[:, None, :]
    _, batch, height, width, channels = sources[0].shape
    shape = (batch, height, width)
    if kind == 'static':
        return logits.softmax(-1)[:, None, None].expand(-1, *shape, -1)
    for index, source in enumerate(sources):
        weight = torch.stack([each.weight[:, index, :channels] for each in gates])
        # the mean of linear maps is the map of the mean
        rows = source.mean((2, 3)) if kind == 'image' else source.flatten(1, 3)
        if len(rows) == len(weight):
            part = rows @ weight.mT
        else:  # one feature for all: one product
            part = (rows[0] @ weight.flatten(0, 1).T).unflatten(-1, weight.shape[:2]).movedim(1, 0)
        logits = logits + part
    values = logits.softmax(-1)
    if kind == 'image':
        return values[:, :, None, None].expand(-1, *shape, -1)
    return values.unflatten(1, shape)


def importance_balance(gates: Tensor) -> Tensor:
    """Squared coefficient of variation of the mean gates, 0 where all are used alike (Shazeer et al., ICLR 2017).

    The mean is over the processes of a distributed run, too.

    Args:
        gates: ``[..., choices]``.
    """
    rows = gates.flatten(0, -2)
    mean = sum_over_processes(rows.sum(0)) / sum_over_processes(rows.new_tensor(len(rows)))
    return mean.var(unbiased=False) / mean.mean() ** 2
