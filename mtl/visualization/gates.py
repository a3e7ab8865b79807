"""Pictures of the gates of a mixture of experts: who reads which expert, where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from mtl.ops.upsample import upsampled
from mtl.tasks.base import as_numpy
from mtl.tasks.legends import ScaleLegend
from mtl.visualization.canvas import GAP, STRIP, blank, fit, line, side_by_side, stacked, text_width, write
from mtl.visualization.legend import draw_legend

if TYPE_CHECKING:  # models import the engine, and a hook of it draws gates
    from mtl.protocols import DecoderOutput


def gate_maps(output: DecoderOutput, index: int = 0) -> Tensor:
    """Gates ``[T, L, N, H, W]`` of one image of a batch: tasks, levels, choices (experts, then perhaps the memory).

    Gates of a level that ran at a coarser resolution are upsampled to the finest.

    Args:
        output: of a decoder with experts (:class:`mtl.models.decoders.TaskExpertDecoder`).
        index: of the image in the batch.

    Raises:
        ValueError: the decoder has no gates.
    """
    if not output.gates:
        raise ValueError('This decoder has no gates: it is not a mixture of experts.')
    finest = tuple(output.gates[0].shape[2:4])
    return torch.stack([upsampled(level[:, index], finest).movedim(-1, 1) for level in output.gates], dim=1)


def draw_gates(gates: Tensor | np.ndarray, tasks: Sequence[str], memory: bool = True, height: int = 72) -> np.ndarray:
    """A grid of pictures: one block per level, in it one row per task, one column per expert and one for the memory.

    Lighter takes more; all pictures share one scale, from 0 to the largest gate. The number below a picture is its
    mean; the means of a task's choices at a level sum to 1.

    Args:
        gates: ``[T, L, N, H, W]``, see :func:`gate_maps`.
        tasks: names of the rows.
        memory: the last choice is the memory.
        height: of a picture in pixels; its width follows from the gates.

    Returns:
        ``[H', W', 3]`` uint8 RGB.
    """
    values = as_numpy(gates).astype(np.float32)
    choices = values.shape[2]
    names = [f'{index + 1}' for index in range(choices - memory)] + ['memory'] * memory
    size = (height, max(1, round(height * values.shape[-1] / values.shape[-2])))
    largest = float(values.max())
    margin = max(map(text_width, (*tasks, 'expert'))) + 8
    blocks = []
    for level in range(values.shape[1]):
        columns = []
        for choice in range(choices):
            cells = [line(names[choice], size[1])]
            for task in range(len(tasks)):
                cells += [_picture(values[task, level, choice], largest, size)]
                cells += [line(f'{values[task, level, choice].mean():.2f}', size[1])]
            columns.append(stacked(cells, gap=0))
        block = side_by_side([_names_of_rows(tasks, size[0], margin), *columns])
        blocks.append(stacked([line(f'level {level + 1}', block.shape[1]), block], gap=0))
    scale = draw_legend(ScaleLegend(_colours(np.linspace(0, 255, 256)[None])[0], 0.0, round(largest, 2)), 300)
    rows = [side_by_side(blocks[start : start + 2], gap=6 * GAP) for start in range(0, len(blocks), 2)]
    return stacked([*rows, scale], gap=2 * GAP)


def _names_of_rows(tasks: Sequence[str], height: int, width: int) -> np.ndarray:
    rows = [line('expert', width)]
    for task in tasks:
        name = blank(height, width)
        write(name, task, (3, min(height, STRIP) - 6))
        rows += [name, line('mean', width)]
    return stacked(rows, gap=0)


def _picture(values: np.ndarray, largest: float, size: tuple[int, int]) -> np.ndarray:
    return fit(_colours(values / largest * 255), size)


def _colours(values: np.ndarray) -> np.ndarray:
    """Viridis of ``values`` ``[H, W]`` in 0..255."""
    levels = values.round().clip(0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
