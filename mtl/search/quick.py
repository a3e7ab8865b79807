"""A width for a budget and preferences at once, without trying any out (ours)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mtl.models.slimmable.width import WidthConfig, WidthSpace
from mtl.search.cost_table import CostTable
from mtl.search.width_search import options_of


def quick_width(space: WidthSpace, table: CostTable, preference: Mapping[str, float], budget: float) -> WidthConfig:
    """The width that the rule of ECMT (ICCV 2023) gives before any search.

    More preferred tasks get larger decoders: of the allowed ratios, the most preferred task the largest, the others
    one as high among them as their preference is beside the largest. One ratio for all stages of the encoder is the
    largest that fits into what remains; where not even the smallest fits, all decoders get no more than the next
    smaller ratio, and so on.

    Args:
        space: of the network.
        table: of the tasks that run.
        preference: of those tasks, none below 0.
        budget: multiply-accumulate operations. Below those of the smallest width, that one is given.
    """
    encoder, decoder = np.array(options_of(space.encoder)), np.array(options_of(space.decoder))
    largest = max(preference.values()) or 1.0
    wanted = {task: round(value / largest * (len(decoder) - 1)) for task, value in preference.items()}
    for limit in reversed(range(len(decoder))):
        ratios = {task: decoder[min(index, limit)] for task, index in wanted.items()}
        ratios_of_all = {task: np.full(len(encoder), ratio) for task, ratio in ratios.items()}
        macs = table.macs(np.repeat(encoder[:, None], space.stages, axis=1), ratios_of_all)
        fitting = np.flatnonzero(macs <= budget)
        if len(fitting):
            return _width(space, encoder[fitting[-1]], ratios)
    return _width(space, encoder[0], dict.fromkeys(wanted, decoder[0]))


def _width(space: WidthSpace, encoder: float, decoder: Mapping[str, float]) -> WidthConfig:
    return WidthConfig((float(encoder),) * space.stages, {task: float(ratio) for task, ratio in decoder.items()})
