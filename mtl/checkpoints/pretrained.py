"""Where a backbone's first weights come from: timm's hub by name, or a local file in timm's, Swin's or our names."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from mmengine.logging import print_log
from torch import Tensor, nn

from mtl import shipped
from mtl.checkpoints.finite import check_finite
from mtl.checkpoints.io import read_checkpoint
from mtl.checkpoints.swin_keys import Renamed, to_timm_names
from mtl.errors import ExplainedError


class PretrainedError(ExplainedError, RuntimeError):
    """First weights that cannot be had, or do not fit."""


def load_pretrained(
    model: nn.Module,
    pretrained: bool | str | None,
    name: str,
    allow_random_init: bool,
    rename: Callable[[Mapping[str, Tensor]], Renamed] = to_timm_names,
) -> None:
    """Fill a bare timm model with weights.

    Args:
        model: timm's model, without adapters.
        pretrained: ``True`` for timm's weights of ``name`` from the hub; a path for a local file (from the working
            directory, or of those that come with the package); ``None`` or ``False`` for none; ``'checkpoint'`` for
            none, silently, because a checkpoint of the whole model follows.
        name: timm's name of the model.
        allow_random_init: go on from random weights, with a warning, where no weights can be had.
        rename: from the names of a file to those of ``model``; of a Swin in any of three notations by default.

    Raises:
        PretrainedError: no weights can be had and ``allow_random_init`` is off, or a file does not fit the model.
    """
    if pretrained == 'checkpoint':
        return
    if not pretrained:
        reason = 'the config asks for none (pretrained=None)'
    elif pretrained is True:
        try:
            state = _from_hub(name)
        except Exception as error:  # timm, huggingface_hub and the socket each raise their own kinds
            reason = f'timm could not fetch {name!r} ({type(error).__name__}: {str(error).splitlines()[0][:200]})'
        else:
            _fit(model, rename(state), source=f'timm {name}')
            return
    else:
        path = shipped.find(pretrained)
        if path is not None:
            _fit(model, rename(_read(path)), source=str(path))
            return
        reason = f'the file {pretrained!r} is neither below {Path.cwd()} nor below {shipped.ROOT}'
    if not allow_random_init:
        raise PretrainedError(
            f'The backbone has no pretrained weights: {reason}. Give a local file with '
            '--cfg-options model.backbone.pretrained=PATH (timm or original Swin release), go online, or accept random '
            'weights with model.backbone.allow_random_init=True.'
        )
    print_log(f'The backbone starts from RANDOM weights: {reason}.', logger='current', level=logging.WARNING)


def pixel_statistics(model: nn.Module) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and std of the RGB values in 0..255 that timm's weights of a model were trained with."""
    known = vars(model)['pretrained_cfg']
    return tuple(255 * value for value in known['mean']), tuple(255 * value for value in known['std'])


def _from_hub(name: str) -> dict[str, Tensor]:
    import timm

    with _no_waiting_for_the_hub():
        return timm.create_model(name, pretrained=True, num_classes=0).state_dict()


@contextmanager
def _no_waiting_for_the_hub() -> Iterator[None]:
    """Without a way to the hub, use what is in its cache, and do not try again for a minute and a half."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    try:
        if not getproxies():
            address = urlsplit(constants.ENDPOINT)
            socket.create_connection((address.hostname, address.port or 443), timeout=5).close()
    except OSError:
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _read(path: Path) -> dict[str, Tensor]:
    if path.suffix == '.safetensors':
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise PretrainedError(f'{path} is not a complete safetensors file ({error}). Take another copy.') from error
    state = read_checkpoint(path)
    for wrapper in ('model', 'state_dict'):
        state = state.get(wrapper, state)
    return state


def _fit(model: nn.Module, renamed: Renamed, source: str) -> None:
    state = {key: value.float() for key, value in renamed.state.items()}
    check_finite(state, source, 'Take another copy.')
    for name, module in model.named_modules():
        table = f'{name}.relative_position_bias_table'
        if table in state:
            state[table] = _resize_bias_table(state[table], module)
    if 'pos_embed' in state and hasattr(model, 'patch_embed'):
        state['pos_embed'] = _resize_position_embedding(state['pos_embed'], model)
    wrong = [
        f'{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}'
        for key, value in model.state_dict().items()
        if key in state and state[key].shape != value.shape
    ]
    # old files lack a BatchNorm's counter of batches, which torch then sets to 0
    missing = [key for key in model.state_dict() if key not in state and not key.endswith('.num_batches_tracked')]
    unexpected = [key for key in state if key not in model.state_dict()]
    if wrong or missing or unexpected:
        parts = [('missing', missing), ('unexpected', unexpected), ('wrong size', wrong)]
        found = '; '.join(f'{len(keys)} {kind}, e.g. {keys[0]}' for kind, keys in parts if keys)
        raise PretrainedError(f'The weights of {source} do not fit the backbone: {found}. Is it another variant?')
    model.load_state_dict(state)
    unused = f' ({len(renamed.dropped)} keys of it have no use here)' if renamed.dropped else ''
    print_log(f'Backbone weights: {source}{unused}.', logger='current')


def _resize_bias_table(table: Tensor, attention: nn.Module) -> Tensor:
    """Interpolate a relative position bias table to the attention's window (as timm does when windows change)."""
    from timm.layers import resize_rel_pos_bias_table

    wanted = attention.get_parameter('relative_position_bias_table').shape
    if table.shape == wanted:
        return table
    return resize_rel_pos_bias_table(
        table,
        new_window_size=vars(attention)['window_size'],
        new_bias_shape=tuple(wanted),
    )


def _resize_position_embedding(embedding: Tensor, model: nn.Module) -> Tensor:
    """Interpolate a ViT's position embedding ``[1, N, C]`` to the grid that ``model`` is built for."""
    from timm.layers import resample_abs_pos_embed

    if embedding.shape == model.pos_embed.shape:
        return embedding
    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    grid = vars(model.get_submodule('patch_embed'))['grid_size']
    return resample_abs_pos_embed(embedding, list(grid), num_prefix_tokens=prefix)
