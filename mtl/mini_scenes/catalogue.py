"""Everything that can be put into a scene, by name."""

from __future__ import annotations

from functools import partial

import numpy as np

from .figures import animal, bottle, person, pottedplant
from .furniture import (
    bed,
    box,
    cabinet,
    chair,
    diningtable,
    door,
    lamp,
    picture,
    rug,
    shelves,
    sofa,
    tvmonitor,
    window,
)  # fmt: skip
from .outdoors import boat, bus, car, train, tree
from .styles import Style
from .things import Thing

_BUILDERS = {
    builder.__name__: builder
    for builder in (
        bed, boat, bottle, box, bus, cabinet, car, chair, diningtable, door, lamp, person, picture, pottedplant, rug,
        shelves, sofa, train, tree, tvmonitor, window,
    )
} | {breed: partial(animal, breed=breed) for breed in ('cat', 'cow', 'dog', 'horse', 'sheep')}  # fmt: skip


def build(rng: np.random.RandomState, style: Style, name: str) -> Thing:
    """A random specimen, standing on ``y = 0`` about the origin and facing ``+z``."""
    return _BUILDERS[name](rng, style)


def draw(rng: np.random.RandomState, shares: dict[str, float]) -> str:
    """A name with a frequency proportional to its share."""
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))
