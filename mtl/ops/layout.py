"""The order of a tensor in memory."""

from __future__ import annotations

import torch
from torch import Tensor


def laid_out(logits: Tensor) -> Tensor:
    """``[B, C, H, W]`` in the order of memory in which upsampling, loss and prediction are fastest.

    Losses read one class after another. Without gradients on a CPU, finding the best of many classes is five times as
    fast, and upsampling twice as fast, with the classes of a pixel side by side.
    """
    finds_best = logits.device.type == 'cpu' and logits.shape[1] > 3
    finds_best = finds_best and not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    return logits.contiguous(memory_format=torch.channels_last if finds_best else torch.contiguous_format)
