"""From a checkpoint, or the config of a run, to the network."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mtl.checkpoints.adapters_only import is_adapter_only, put_back_base
from mtl.checkpoints.config_text import read_config_text
from mtl.checkpoints.finite import check_finite
from mtl.errors import ExplainedError
from mtl.registry import MODELS


def build_for_checkpoint(config: Config, pretrained: bool | str = 'checkpoint') -> nn.Module:
    """The config's model, in evaluation mode, for weights that come from a checkpoint.

    Args:
        config: config of a run.
        pretrained: see :func:`mtl.checkpoints.pretrained.load_pretrained`.
    """
    init_default_scope(config.get('default_scope', 'mtl'))
    model = copy.deepcopy(config.model)
    model.backbone.pretrained = pretrained
    return MODELS.build(model).eval()


def stored_config(checkpoint: Mapping) -> Config:
    """The config that a run stored in its checkpoint; its text is parsed, not run.

    The text lists keys by the alphabet; the tasks get the order of the network back.

    Raises:
        ValueError: there is none, or it is more than values.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not text:
        raise ValueError('it holds no config (meta["cfg"]), as checkpoints of a run do.')
    config = read_config_text(text)
    # a published file names its tasks in order; safetensors do not keep that of the weights
    heads = checkpoint['meta'].get('tasks') or dict.fromkeys(
        key.split('.')[1] for key in checkpoint.get('state_dict', {}) if key.startswith('heads.')
    )
    tasks = config.model.tasks
    if set(heads) == set(tasks):
        config.model.tasks = {name: tasks[name] for name in heads}
    return config


class MisfitError(ExplainedError, ValueError):
    """A checkpoint and a config that do not belong together."""


def restore_model(checkpoint: dict, config: Config, pretrained: bool | str | None = None) -> nn.Module:
    """The config's model with the weights of a checkpoint, in evaluation mode.

    Args:
        checkpoint: of a run, or published; whole, adapters only (then it is completed in place), or merged.
        config: its config.
        pretrained: where the frozen base of an adapter-only checkpoint comes from; by default what the config says.

    Raises:
        MisfitError: the weights do not fit the model.
        NotFiniteError: a weight is inf or NaN.
        BaseMismatchError: another base than the adapters were trained on.
    """
    base: bool | str = 'checkpoint'
    if is_adapter_only(checkpoint):
        base = pretrained or config.model.backbone.get('pretrained', True)
    model = build_for_checkpoint(config, base)
    put_back_base(model, checkpoint)
    state = checkpoint.get('state_dict', checkpoint)
    check_finite(state, 'The checkpoint', 'Take an earlier one.')
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = next((line.strip() for line in str(error).splitlines()[1:] if line.strip()), str(error))
        raise MisfitError(f'the weights do not fit the config. {first[:300]}') from error
    return model


def image_size(config: Config) -> tuple[int, int]:
    """``(H, W)`` that the backbone is built for."""
    size = config.model.backbone.get('img_size', (224, 224))
    return (size, size) if isinstance(size, int) else tuple(size)
