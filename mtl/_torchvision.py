"""Let ``import torchvision`` succeed when its compiled operators do not fit the installed torch.

torchvision wheels from the package index are built for CUDA. Beside a CPU build of torch their operator library does
not load, and importing torchvision (which timm does) then fails with ``operator torchvision::nms does not exist``.
Nothing here uses those operators; declaring the schemas of the two that torchvision decorates at import is enough.
Where torchvision's library loads, this module changes nothing.
"""

import importlib.util
from pathlib import Path

import torch

_library = None  # torch drops the schemas when the Library object dies, so the module holds it


def make_importable() -> None:
    """Declare torchvision's import-time operators if its own library cannot be loaded."""
    global _library
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
