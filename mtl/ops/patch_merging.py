"""Patch merging (Swin, Liu et al., ICCV 2021, section 3.1), composed with the linear map that follows it."""

from __future__ import annotations

import torch
from torch import Tensor


def composing_pays(rows: int, n_patch: int, n_merged: int, n_out: int) -> bool:
    """Whether ``(P R) n`` is fewer multiplications than ``P (R n)``, which it is not on a tiny image.

    Args:
        rows: patches.
        n_patch, n_merged, n_out: ``R`` is ``[n_merged, n_patch]``, ``P`` is ``[n_out, n_merged]``.
    """
    if torch.compiler.is_compiling():  # one graph for all image sizes
        return True
    return fewer_multiplications(rows, n_patch, n_merged, n_out)


def fewer_multiplications(rows: int, n_patch: int, n_merged: int, n_out: int) -> bool:
    """See :func:`composing_pays`; also of arrays."""
    return n_out * n_merged * n_patch + rows * n_patch * n_out < rows * n_merged * (n_patch + n_out)


def patches(x: Tensor) -> Tensor:
    """Patches of ``[S, B, H, W, K]`` as ``[S, N, 4, K]``, their pixels in the order of timm's ``PatchMerging``."""
    x = x.flatten(1, 2).unflatten(1, (-1, 2)).unflatten(3, (-1, 2))  # [S, B * H / 2, 2, W / 2, 2, K]
    return x.permute(0, 1, 3, 4, 2, 5).flatten(1, 2).flatten(2, 3)  # width before height
