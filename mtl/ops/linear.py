"""The linear map, by the kernels of oneDNN on a CPU where no gradient is asked for."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

# multiplications from which a oneDNN product is not slower than torch's: looking the kernel up takes 20 microseconds
ONEDNN_PAYS = 2**24
# rows from which packing the weight pays: that takes as long as the product of 125 rows, which is a tenth faster then
PACKING_PAYS = 1500

HAS_ONEDNN = hasattr(torch.ops.mkldnn, '_linear_pointwise')
if HAS_ONEDNN:
    _onednn_linear, _onednn_packed = torch.ops.mkldnn._linear_pointwise, torch.ops.mkldnn._reorder_linear_weight

    @register_flop_formula(_onednn_linear)
    def _onednn_flops(x: torch.Size, weight: torch.Size, *args: object, **kwargs: object) -> int:
        return 2 * math.prod(x) * weight[0]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``W x + b``, or ``gelu(W x + b)``, of ``x`` ``[..., in]``.

    Without gradients, in single precision on a CPU, product, bias and GELU are one kernel of oneDNN, the one that
    torch.compile takes. It writes the result once, where torch alone writes bias, product and GELU one after another.
    The numbers are the same but for the order of sums.

    For many rows, the weight is first copied to the layout that oneDNN reads. The copy is made in every call: a cached
    one would miss changes that PyTorch does not count, such as writes to ``weight.data``.

    Args:
        x: input.
        weight, bias: ``[out, in]`` and ``[out]``.
        gelu: apply the exact GELU.
    """
    # asked first: a tracer has no numbers for sizes
    if _serves(x, weight, bias) and x.numel() * len(weight) >= ONEDNN_PAYS:
        rows = math.prod(x.shape[:-1])
        if rows >= PACKING_PAYS:
            weight = _onednn_packed(weight.detach(), rows)
        if weight.is_mkldnn or _is_plain(x, weight):
            return _onednn_linear(x, weight, bias, 'gelu' if gelu else 'none', [], 'none')
    y = F.linear(x, weight, bias)
    return F.gelu(y) if gelu else y


def with_each(A: Tensor, x: Tensor) -> Tensor:
    """``x_t A_t'`` of ``T`` streams, ``[T, N, out]``.

    Args:
        A: ``[T, out, in]``.
        x: ``[T, N, in]``, or ``[1, N, in]``, one stream for all: then one product instead of ``T``.
    """
    if len(x) == len(A):
        return x @ A.mT
    return F.linear(x[0], A.flatten(0, 1)).unflatten(-1, A.shape[:2]).transpose(0, 1)


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """No slices: oneDNN would multiply them by a reference kernel, a thousand times slower (it packs them well)."""
    return x.is_contiguous() and (weight.is_contiguous() or weight.mT.is_contiguous())


def _serves(*tensors: Tensor | None) -> bool:
    """Whether oneDNN takes such tensors, and no gradient of them is asked for."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    if not (HAS_ONEDNN and torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    given = [tensor for tensor in tensors if tensor is not None]
    return (
        all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in given)
        and not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given))
        and not torch.is_autocast_enabled('cpu')
    )
