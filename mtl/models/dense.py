"""Dense layers that, on a CPU and without gradients, run by the kernels of oneDNN."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import register_flop_formula

# multiplications from which a oneDNN product is no slower than torch's: looking the kernel up takes 20 microseconds
ONEDNN_PAYS = 2**24
# rows from which a product with a packed weight, a tenth faster, makes up for the packing (measured)
PACKING_PAYS = 1500

try:
    _onednn_linear, _onednn_packed = torch.ops.mkldnn._linear_pointwise, torch.ops.mkldnn._reorder_linear_weight
except AttributeError:  # a torch without oneDNN
    _onednn_linear = _onednn_packed = None
else:

    @register_flop_formula(_onednn_linear)
    def _onednn_flops(x: torch.Size, weight: torch.Size, *args, **kwargs) -> int:
        return 2 * math.prod(x) * weight[0]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``W x + b``, or ``gelu(W x + b)``, of ``x`` ``[..., in]``.

    Without gradients, in single precision on a CPU, product, bias and GELU are one kernel of oneDNN, the one that
    torch.compile takes. It writes the result once, where torch alone writes bias, product and GELU one after another.
    The numbers are the same but for the order of sums.

    Args:
        x: input.
        weight, bias: ``[out, in]``, or what :func:`packed` made of it, and ``[out]``.
        gelu: apply the exact GELU.
    """
    weight = packed(weight, math.prod(x.shape[:-1]), x, bias)
    if weight.is_mkldnn or _runs_unpacked(x, weight, bias):
        return _onednn_linear(x, weight, bias, 'gelu' if gelu else 'none', [], 'none')
    y = F.linear(x, weight, bias)
    return F.gelu(y) if gelu else y


def packed(weight: Tensor, rows: int, *others: Tensor | None) -> Tensor:
    """``weight`` ``[out, in]`` in the order in which oneDNN reads it, for ``rows`` rows in all.

    A product is a tenth faster so, and packing takes as long as the product of some 125 rows. :func:`linear` does it by
    itself; whoever multiplies many rows a few at a time does it once before. Nothing is kept from one call to the next:
    a weight may change in ways that nobody is told of (``weight.data``).

    Args:
        weight: of any strides; comes back as it is where packing does not pay or oneDNN does not serve.
        rows: of the input.
        others: the input, or one like it, and the bias, all of which must be such that oneDNN serves.
    """
    if weight.is_mkldnn or rows < PACKING_PAYS or rows * weight.numel() < ONEDNN_PAYS or not _serves(weight, *others):
        return weight
    return _onednn_packed(weight.detach(), rows)


def _runs_unpacked(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    return (
        x.numel() * len(weight) >= ONEDNN_PAYS
        # a slice of a weight would run by a reference kernel, a thousand times slower
        and x.is_contiguous()
        and (weight.is_contiguous() or weight.mT.is_contiguous())
        and _serves(x, weight, bias)
    )


def _serves(*tensors: Tensor | None) -> bool:
    """Whether oneDNN takes such tensors, and no gradient of them is asked for."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    tensors = [tensor for tensor in tensors if tensor is not None]
    return (
        _onednn_linear is not None
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and all(tensor.device.type == 'cpu' and tensor.dtype == torch.float32 for tensor in tensors)
        and not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors))
        and not torch.is_autocast_enabled('cpu')
    )


class Linear(nn.Linear):
    """``nn.Linear`` by :func:`linear`.

    Args:
        base: layer whose parameters are taken over.
    """

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device='meta')
        self.weight, self.bias = base.weight, base.bias

    def reset_parameters(self) -> None:
        """The base is taken over as it is."""

    def forward(self, x: Tensor, gelu: bool = False) -> Tensor:
        """See :func:`linear`."""
        return linear(x, self.weight, self.bias, gelu)


class Mlp(nn.Module):
    """timm's ``Mlp``, with the GELU in the kernel of the first layer where it can be.

    Args:
        base: module whose layers are taken over, under their names.
    """

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        for name, layer in base.named_children():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """``[..., C]`` to ``[..., C]``."""
        fuses = isinstance(self.fc1, Linear) and isinstance(self.act, nn.GELU) and self.act.approximate == 'none'
        hidden = self.fc1(x, gelu=True) if fuses else self.act(self.fc1(x))
        return self.drop2(self.fc2(self.norm(self.drop1(hidden))))
