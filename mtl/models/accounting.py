"""Parameters by group, as the papers count them, and multiplications."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mtl.models.reachability import gradients_of_logits
from mtl.protocols import Network, adapter_parameters


def count_parameters(model: nn.Module, only: Collection[str] | None = None) -> dict[str, int]:
    """Parameters of a :class:`mtl.models.MultiTaskModel` by group.

    Args:
        model: network.
        only: names of the parameters to count; ``None`` for all.

    Returns:
        ``frozen``; ``adapters`` (every parameter of an adapter layer, also those that no loss can reach, as the
        MTLoRA paper counts them); ``other trainable`` (of the backbone, and of learned loss weights); ``decoders``;
        ``heads``; ``trainable``, the sum of the last four; ``total``.
    """
    adapters = {id(parameter) for parameter in adapter_parameters(model)}
    groups = dict.fromkeys(('frozen', 'adapters', 'other trainable', 'decoders', 'heads'), 0)
    for name, parameter in model.named_parameters():
        if only is not None and name not in only:
            continue
        if id(parameter) in adapters:
            group = 'adapters'
        elif not parameter.requires_grad:
            group = 'frozen'
        else:
            group = {'decoder': 'decoders', 'heads': 'heads'}.get(name.split('.')[0], 'other trainable')
        groups[group] += parameter.numel()
    total = sum(groups.values())
    return {**groups, 'trainable': total - groups['frozen'], 'total': total}


def parameters_read(model: Network) -> set[str]:
    """Names of the parameters that the logits of ``model.active_tasks`` depend on: autograd finds a way from them."""
    parameters = dict(model.named_parameters())
    trained = {name: parameter.requires_grad for name, parameter in parameters.items()}
    model.requires_grad_(True)
    try:
        gradients = gradients_of_logits(model, list(parameters.values()), model.backbone.size_divisor)
    finally:
        for name, parameter in parameters.items():
            parameter.requires_grad_(trained[name])
    return {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}


@contextmanager
def counted_macs() -> Iterator[Callable[[], int]]:
    """Count the multiply-accumulate operations of what runs inside, without gradients (torch's FlopCounterMode).

    The context gives a function that tells how many there were so far. Attention is counted unfused, because the
    counter does not look into the fused kernels of a CPU. Products in place (``addmm_``, ``baddbmm_``) count, which
    plain ``FlopCounterMode`` leaves out.
    """
    with without_fused_kernels(), FlopCounterMode(display=False, custom_mapping=IN_PLACE) as counter:
        yield lambda: counter.get_total_flops() // 2


@contextmanager
def without_fused_kernels() -> Iterator[None]:
    """What runs inside, without gradients, can be counted: fused attention kernels hide their products."""
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        yield


def count_macs(model: Network, height: int, width: int) -> int:
    """Multiply-accumulate operations of one image, from pixels to the logits of all tasks."""
    parameter = next(model.parameters())
    image = torch.zeros(1, 3, height, width, device=parameter.device, dtype=parameter.dtype)
    training = model.training
    model.eval()
    with counted_macs() as macs:
        model.logits(image)
    model.train(training)
    return macs()


def _addmm_flops(total: torch.Size, a: torch.Size, b: torch.Size, **kwargs: object) -> int:
    return 2 * a[0] * a[1] * b[1]


def _baddbmm_flops(total: torch.Size, a: torch.Size, b: torch.Size, **kwargs: object) -> int:
    return a[0] * _addmm_flops(total, a[1:], b[1:])


# products in place, which torch's counter knows only out of place
IN_PLACE = {torch.ops.aten.addmm_: _addmm_flops, torch.ops.aten.baddbmm_: _baddbmm_flops}
