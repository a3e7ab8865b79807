"""Let ``import torchvision`` succeed when its compiled operators do not fit the installed torch.

torchvision wheels from the package index are built for CUDA. Beside a CPU build of torch their operator library does
not load, and importing torchvision (which timm does) then fails with ``operator torchvision::nms does not exist``.
Nothing here uses those operators; declaring the schemas of the two that torchvision decorates at import is enough.
Where torchvision's library loads, this module changes nothing.
"""

import importlib.util
import sys
from pathlib import Path

_library = None  # torch drops the schemas when the Library object dies, so the module holds it


class _BeforeTorchvision:
    """A finder that finds nothing: it is asked for ``torchvision`` before anything else is, and prepares for it.

    So ``import mtl`` itself need not wait for torch.
    """

    def find_spec(self, name, path=None, target=None):
        if name == 'torchvision' and self in sys.meta_path:
            sys.meta_path.remove(self)
            make_importable()
        return None


def make_importable_when_asked_for() -> None:
    """Call :func:`make_importable` when torchvision is first imported, not now."""
    if 'torchvision' not in sys.modules:
        sys.meta_path.insert(0, _BeforeTorchvision())


def make_importable() -> None:
    """Declare torchvision's import-time operators if its own library cannot be loaded."""
    global _library
    import torch

    if _library is not None or hasattr(torch.ops.torchvision, 'nms'):
        return
    spec = importlib.util.find_spec('torchvision')
    if spec is None or not spec.submodule_search_locations:
        return
    for library in Path(spec.submodule_search_locations[0]).glob('_C*.so'):
        try:
            torch.ops.load_library(str(library))
            return
        except OSError:
            continue
    _library = torch.library.Library('torchvision', 'DEF')
    for name in ('nms', 'qnms'):
        _library.define(f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
