"""Latencies of materialised widths. Their runs are interleaved, so that a busy machine slows all of them alike."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from mtl.engine.benchmark import measure
from mtl.models import MultiTaskModel
from mtl.models.adapters.folding import fold_adapters
from mtl.models.slimmable.materialize import materialize
from mtl.models.slimmable.width import WidthConfig, WidthSpace
from mtl.registry import MODELS
from mtl.search.width_search import options_of


def widths_to_measure(space: WidthSpace, tasks: Sequence[str], count: int, seed: int) -> list[WidthConfig]:
    """Different widths of ``tasks``: full, the smallest, those of one ratio everywhere, then random ones.

    All of them where there are no more than ``count``.
    """
    draw = random.Random(seed)
    encoder, decoder = options_of(space.encoder), options_of(space.decoder)
    chosen = {space.full.for_tasks(tasks): None, space.small.for_tasks(tasks): None}
    for ratio in encoder:
        nearest = min((abs(other - ratio), other) for other in decoder)[1]
        chosen[WidthConfig((ratio,) * space.stages, dict.fromkeys(tasks, nearest))] = None
    count = min(count, len(encoder) ** space.stages * len(decoder) ** len(tasks))
    while len(chosen) < count:
        ratios = tuple(draw.choice(encoder) for _ in range(space.stages))
        chosen[WidthConfig(ratios, {task: draw.choice(decoder) for task in tasks})] = None
    return list(chosen)


def static_network(
    model: MultiTaskModel, options: Mapping, width: WidthConfig, tasks: Sequence[str], merged: bool
) -> MultiTaskModel:
    """The materialised network, in evaluation mode.

    Args:
        model: of all widths.
        options: the config it was built with.
        width: which width.
        tasks: those that stay.
        merged: fold the adapters where that is exact.
    """
    small_options, state = materialize(model, options, width, tasks)
    small = MODELS.build(copy.deepcopy(small_options)).eval()
    small.load_state_dict(state)
    if merged:
        fold_adapters(small.backbone, tasks)
    return small


def median_milliseconds(
    networks: Iterator[MultiTaskModel], image: torch.Tensor, repeats: int, together: int = 8
) -> Iterator[float]:
    """Time of each network from normalised pixels to the predictions of all tasks.

    Some networks at a time take turns, so that not all are in memory. The first one is in every group: a group in
    which it is slower than before was measured on a busier machine, and its times are reduced accordingly.

    Args:
        networks: the first one is the reference.
        image: ``[B, 3, H, W]`` on the device.
        repeats: measured runs of each, after one that is not.
        together: networks that take turns.

    Yields:
        The median of each.
    """
    reference = next(networks).to(image.device)
    calm = None
    while group := [network.to(image.device) for network in itertools.islice(networks, together)]:
        turns = [_turn([reference, *group], image) for _ in range(1 + repeats)]
        of_reference, *others = np.median(turns[1:], axis=0).tolist()
        if calm is None:
            calm = of_reference
            yield calm
        yield from (time * calm / of_reference for time in others)


def _turn(networks: Sequence[MultiTaskModel], image: torch.Tensor) -> list[float]:
    """Milliseconds of one run of each."""
    return [
        1000 * measure(partial(network.predict, image), runs=1, warm_up=0, device=image.device).seconds[0]
        for network in networks
    ]
