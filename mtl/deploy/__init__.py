"""Networks as files that run without this package."""

from mtl.deploy.description import describe
from mtl.deploy.export import Exported, export
from mtl.deploy.formats import FORMATS
from mtl.deploy.parity import Difference, ParityError

__all__ = ['FORMATS', 'Difference', 'Exported', 'ParityError', 'describe', 'export']
