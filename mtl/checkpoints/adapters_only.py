"""Checkpoints without the frozen base: what trained, and a fingerprint of what it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl.errors import ExplainedError
from mtl.protocols import SortedUnits, adapter_parameters

AVERAGE = 'ema_state_dict'  # of MMEngine's EMAHook


class BaseMismatchError(ExplainedError, RuntimeError):
    """An adapter-only checkpoint met other base weights than those it was trained on."""


def base_keys(model: nn.Module) -> list[str]:
    """Keys of the state dict that hold the frozen base: parameters that neither train nor belong to an adapter.

    Buffers, such as the statistics of BatchNorm, are not among them: training moves them.
    """
    adapters = {id(parameter) for parameter in adapter_parameters(model)}
    return [
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and id(parameter) not in adapters
    ]


def leave_out_base(model: nn.Module, checkpoint: dict) -> None:
    """Make a whole ``checkpoint`` of ``model`` an adapter-only one, in place.

    Its ``state_dict`` loses :func:`base_keys`; ``meta['base']`` says what is missing: ``fingerprint`` and ``keys``. So
    does that of a moving average, whose base is the same, since it does not train.
    """
    state = checkpoint['state_dict']
    base = {key: state[key] for key in base_keys(model)}
    checkpoint['state_dict'] = {key: value for key, value in state.items() if key not in base}
    if AVERAGE in checkpoint:
        average = checkpoint[AVERAGE].items()
        checkpoint[AVERAGE] = {key: value for key, value in average if key.removeprefix('module.') not in base}
    checkpoint.setdefault('meta', {})['base'] = dict(fingerprint=fingerprint(base), keys=list(base))


def put_back_base(model: nn.Module, checkpoint: dict) -> None:
    """Complete an adapter-only ``checkpoint``, in place, with the base of ``model``; leave a whole one as it is.

    Raises:
        BaseMismatchError: the model has other base weights.
    """
    missing = is_adapter_only(checkpoint)
    if not missing:
        return
    if isinstance(model, SortedUnits):
        model.move_units(checkpoint['state_dict'])
    state = model.state_dict()
    base = {key: state[key] for key in missing['keys'] if key in state}
    found = fingerprint(base)
    if found != missing['fingerprint']:
        raise BaseMismatchError(
            f'This checkpoint holds adapters only, trained on base weights with the fingerprint '
            f'{missing["fingerprint"]}; the model has {found}. Build it with the pretrained weights of the training '
            '(model.backbone.pretrained in the config).'
        )
    checkpoint['state_dict'] = {**base, **checkpoint['state_dict']}
    if AVERAGE in checkpoint:
        checkpoint[AVERAGE] = {**{f'module.{key}': value for key, value in base.items()}, **checkpoint[AVERAGE]}
    del checkpoint['meta']['base']


def is_adapter_only(checkpoint: Mapping) -> dict | None:
    """What an adapter-only checkpoint says of its base; ``None`` for a whole one."""
    return checkpoint.get('meta', {}).get('base')


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Twelve characters that change with any bit of any tensor, or any name."""
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].detach().to('cpu', torch.float32).contiguous()
        digest.update(f'{key} {tuple(value.shape)}'.encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()[:12]
