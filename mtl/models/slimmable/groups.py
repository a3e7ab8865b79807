"""Groups of units that are dropped together."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from mtl.models.slimmable.width import Owner, WidthConfig


@dataclass(frozen=True)
class WidthGroup:
    """Interchangeable units of a network of which the first ones run: heads of an attention, channels of a decoder.

    Args:
        owner: whose ratio decides: a stage (index), a task (name), or the widest of several tasks (tuple of names).
        name: unlike that of any other group of the network; axes of one group keep, drop and permute together.
        size: number of units at full width.
        multiple: numbers of units are rounded to multiples of it (hardware likes 8); 1 for none.
    """

    owner: Owner
    name: str
    size: int
    multiple: int = 1

    def length(self, width: WidthConfig) -> int:
        """Number of units that run; all, though unused, where the owner is a task that the width does not name."""
        if isinstance(self.owner, str) and self.owner not in width.decoder:
            return self.size
        return self.length_at(width.ratio(self.owner))

    def length_at(self, ratio: float) -> int:
        """``ratio`` of the units, rounded to the nearest multiple (half up); at least one multiple, at most all."""
        rounded = math.floor(ratio * self.size / self.multiple + 0.5) * self.multiple
        return self.size if ratio >= 1 else min(self.size, max(self.multiple, rounded))


@dataclass(frozen=True)
class ScaledGroup(WidthGroup):
    """Units whose number follows that of another group, such as hidden units in proportion to channels.

    Args:
        of: the other group, of the same owner.
        scale: number of units for a number of the other's.
    """

    of: WidthGroup = field(kw_only=True)
    scale: Callable[[int], int] = field(kw_only=True)

    def length_at(self, ratio: float) -> int:
        """See :meth:`WidthGroup.length_at`."""
        return self.scale(self.of.length_at(ratio))
