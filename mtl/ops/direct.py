"""Where a function may choose its own kernels and its own backward pass."""

from __future__ import annotations

import torch
from torch import Tensor


def is_direct(*tensors: Tensor) -> bool:
    """Whether tensors of one dtype, single or double precision, are worked on by a CPU now.

    Not so under a compiler, an exporter or a tracer, which see single operations only, and under autocast, which
    chooses a dtype for each of them.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled('cpu'):
        return False
    dtype = tensors[0].dtype
    return dtype in (torch.float32, torch.float64) and all(
        tensor.device.type == 'cpu' and tensor.dtype == dtype for tensor in tensors
    )
