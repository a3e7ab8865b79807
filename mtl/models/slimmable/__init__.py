"""Networks whose width is a run-time value."""

from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig, WidthError, WidthSpace

__all__ = ['WidthConfig', 'WidthError', 'WidthGroup', 'WidthSpace']
