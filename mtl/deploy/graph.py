"""From a network to one static graph of it, by ``torch.export``."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mtl.models.backbones.swin.window_block import use_windowed_attention

LARGEST = 16384  # pixels of a side that a graph of any size accepts


class Logits(nn.Module):
    """Of a :class:`mtl.models.MultiTaskModel`, the function that is exported: an image to a tuple of logits.

    Args:
        model: network in evaluation mode; a copy of it is made ready for tracing.
        tasks: one output each.
        dynamic_size: for images of any size. Else the graph is that of one size.
    """

    def __init__(self, model: nn.Module, tasks: Sequence[str], dynamic_size: bool = False) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        use_windowed_attention(self.model)
        self.tasks, self.dynamic_size = tuple(tasks), dynamic_size

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``[B, out_channels, H, W]`` a task for a normalised image ``[B, 3, H, W]``."""
        if not self.dynamic_size:
            logits = self.model.logits(image, self.tasks)
            return tuple(logits[task] for task in self.tasks)
        # The network pads to multiples of its divisor. How many those are is made a number of its own here, not an
        # expression in the size of the image: everything after stays a simple multiple of it.
        (height, width), divisor = image.shape[-2:], self.model.backbone.size_divisor
        down, across = _opaque((height + divisor - 1) // divisor), _opaque((width + divisor - 1) // divisor)
        for count in (down, across):
            torch._check(count >= 1)
            torch._check(count <= LARGEST // divisor)
        padded = F.pad(image, (0, across * divisor - width, 0, down * divisor - height))
        logits = self.model.logits(padded, self.tasks)
        return tuple(logits[task].narrow(2, 0, height).narrow(3, 0, width) for task in self.tasks)


def _opaque(number: int) -> int:
    return torch.scalar_tensor(number, dtype=torch.long).item()


@torch.no_grad()
def capture(logits: Logits, size: tuple[int, int], dynamic_batch: bool = False) -> ExportedProgram:
    """The graph of ``logits``.

    Args:
        logits: what is exported.
        size: ``(H, W)`` of the images; an example where ``logits`` take any.
        dynamic_batch: for any number of images at once, else for one.
    """
    axes = {}
    if dynamic_batch:
        axes[0] = Dim('batch', min=1)
    if logits.dynamic_size:
        axes.update({2: Dim('height', min=2, max=LARGEST), 3: Dim('width', min=2, max=LARGEST)})
    image = torch.zeros(2 if dynamic_batch else 1, 3, *size)
    return torch.export.export(logits, (image,), dynamic_shapes=(axes,) if axes else None)
