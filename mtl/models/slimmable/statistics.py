"""Running statistics of BatchNorm, one set per width (Yu et al., Slimmable Neural Networks, ICLR 2019)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig, WidthError


class Statistics(nn.Module):
    """The buffers of a BatchNorm over ``channels`` channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer('running_mean', torch.zeros(channels))
        self.register_buffer('running_var', torch.ones(channels))
        self.register_buffer('num_batches_tracked', torch.tensor(0, dtype=torch.long))


def declare_statistics(norm: _BatchNorm, lengths: Iterable[int]) -> None:
    """Give ``norm`` statistics for prefixes of its channels, as a submodule ``statistics``.

    Features of a narrower network are distributed differently, so running means cannot be shared between widths;
    weight and bias are.

    Args:
        norm: its own buffers stay those of the full width.
        lengths: numbers of channels.
    """
    others = sorted({length for length in lengths if length != norm.num_features})
    norm.statistics = nn.ModuleDict({str(length): Statistics(length) for length in others})


def statistics_at(norm: _BatchNorm, name: str, group: WidthGroup, width: WidthConfig) -> dict[str, Tensor]:
    """The buffers of ``norm`` at ``width``; none to change at full width.

    Raises:
        WidthError: nothing was declared for the number of channels.
    """
    length = group.length(width)
    if length == group.size or not norm.track_running_stats:
        return {}
    declared = getattr(norm, 'statistics', {})
    if str(length) not in declared:
        known = ', '.join(sorted([*declared, str(group.size)], key=int))
        raise WidthError(
            f'{name} is a BatchNorm, whose running statistics exist for {known} channels only, not for {length} '
            f'(ratio {width.ratio(group.owner):g}). List it among the ratios of the training, or use a norm '
            'without running statistics.'
        )
    return dict(declared[str(length)].named_buffers())
