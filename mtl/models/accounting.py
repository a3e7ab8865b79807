"""Parameters by group, as the papers count them."""

from __future__ import annotations

from torch import nn

from mtl.models.adapters import adapter_parameters


def count_parameters(model: nn.Module) -> dict[str, int]:
    """Parameters of a :class:`mtl.models.MultiTaskModel` by group.

    Returns:
        ``frozen``; ``adapters`` (every parameter of an adapter layer, also those that no loss can reach, as the
        MTLoRA paper counts them); ``other trainable`` (of the backbone, and of learned loss weights); ``decoders``;
        ``heads``; ``trainable``, the sum of the last four; ``total``.
    """
    adapters = {id(parameter) for parameter in adapter_parameters(model)}
    groups = dict.fromkeys(('frozen', 'adapters', 'other trainable', 'decoders', 'heads'), 0)
    for name, parameter in model.named_parameters():
        if id(parameter) in adapters:
            group = 'adapters'
        elif not parameter.requires_grad:
            group = 'frozen'
        else:
            group = {'decoder': 'decoders', 'heads': 'heads'}.get(name.split('.')[0], 'other trainable')
        groups[group] += parameter.numel()
    total = sum(groups.values())
    return {**groups, 'trainable': total - groups['frozen'], 'total': total}
