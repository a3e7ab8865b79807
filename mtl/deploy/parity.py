"""Does a file give the numbers of the network it came from?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import skimage.data
import torch
from torch import Tensor, nn

from mtl.errors import ExplainedError

TOLERANCE = 1e-4

Run = Callable[[Tensor], Sequence[Tensor]]


class ParityError(ExplainedError, RuntimeError):
    """A file that does not give the numbers of its network."""


@dataclass(frozen=True)
class Difference:
    """The largest difference of a logit of one task, for one input.

    Args:
        task: its name.
        source: the input.
        absolute: largest absolute difference.
        relative: the same, divided by the largest absolute logit.
    """

    task: str
    source: str
    absolute: float
    relative: float

    def __str__(self) -> str:
        return f'{self.task:12} {self.source:28} absolute {self.absolute:.1e}, relative {self.relative:.1e}'


@torch.no_grad()
def differences(reference: Run, exported: Run, inputs: dict[str, Tensor], tasks: Iterable[str]) -> list[Difference]:
    """Compare logits, for every input and task.

    Raises:
        ParityError: an output of another shape.
    """
    found, tasks = [], tuple(tasks)
    for source, image in inputs.items():
        for task, wanted, given in zip(tasks, reference(image), exported(image), strict=True):
            if wanted.shape != given.shape:
                raise ParityError(f'{task} of {source} has the shape {list(given.shape)}, not {list(wanted.shape)}.')
            absolute = (given - wanted).abs().max().item()
            found.append(Difference(task, source, absolute, absolute / wanted.abs().max().item()))
    return found


def check(found: Iterable[Difference]) -> None:
    """Raise :class:`ParityError` if a difference is larger than :data:`TOLERANCE`, relatively (or no number)."""
    wrong = [difference for difference in found if not difference.relative <= TOLERANCE]
    if wrong:
        raise ParityError(
            f'The file differs from the network by more than {TOLERANCE:.0e}: '
            + '; '.join(' '.join(str(difference).split()) for difference in wrong)
        )


def inputs_for(model: nn.Module, size: tuple[int, int], dynamic_batch: bool, dynamic_size: bool) -> dict[str, Tensor]:
    """Random values and photographs, normalised, ``[B, 3, H, W]``; several numbers and sizes where they are free.

    Args:
        model: its preprocessor normalises.
        size: ``(H, W)`` of a file of one size.
    """
    height, width = size
    shapes = [(1, height, width)]
    if dynamic_batch:
        shapes.append((3, height, width))
    if dynamic_size:  # no multiples of anything
        shapes.append((2 if dynamic_batch else 1, height * 2 // 3 + 1, width * 5 // 4 + 3))
    draw = torch.Generator().manual_seed(0)
    inputs = {}
    for batch, *sides in shapes:
        shape = 'x'.join(map(str, (batch, 3, *sides)))
        inputs[f'random {shape}'] = torch.randn(batch, 3, *sides, generator=draw)
        inputs[f'photograph {shape}'] = torch.cat([_photograph(model, sides, flip) for flip in range(batch)])
    return inputs


def _photograph(model: nn.Module, size: Sequence[int], flip: int) -> Tensor:
    """A person in front of a flag and a model of a Space Shuttle (NASA, public domain; in scikit-image)."""
    image = cv2.resize(skimage.data.astronaut()[..., ::-1], tuple(size)[::-1], interpolation=cv2.INTER_AREA)
    if flip % 2:
        image = image[:, ::-1]
    image = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
    return model.data_preprocessor(dict(inputs=[image]))['inputs']
