"""What a checkpoint file must tell so that it needs no config beside it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint
from torch import Tensor, nn

from mtl.checkpoints.adapters_only import is_adapter_only, put_back_base
from mtl.checkpoints.config_text import read_config_text
from mtl.checkpoints.finite import check_finite
from mtl.errors import ExplainedError
from mtl.models.adapters.plain import fold_adapters, folded_options
from mtl.registry import MODELS
from mtl.tasks import Task, build_tasks

KEPT_META = ('epoch', 'iter', 'seed', 'base', 'converted_from', 'mmengine_version', 'experiment_name')


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
    base = 'checkpoint'
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


def fold_model(model: nn.Module, config: Config, tasks: Iterable[str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Fold the adapters of ``model`` and make ``config`` that of the result, both in place.

    Args:
        model: built with ``config``.
        config: of a run.
        tasks: for which folding must be exact.

    Returns:
        The weights that fit ``config`` now, and names of the layers that had to stay, with the reason.
    """
    kept = fold_adapters(model.backbone, tasks)
    backbone = config.model.backbone
    backbone.adapters = folded_options(model.backbone, backbone.get('adapters'))
    wanted = build_for_checkpoint(config).state_dict()
    return {key: value for key, value in model.state_dict().items() if key in wanted}, kept


def published(state: Mapping[str, Tensor], config: Config, meta: Mapping) -> dict:
    """A checkpoint of weights and what an inferencer must know: config text, tasks, classes, palette.

    Raises:
        NotFiniteError: a weight is inf or NaN.
    """
    check_finite(state, 'The checkpoint', 'Publish an earlier one.')
    kept = {key: value for key, value in meta.items() if key in KEPT_META}
    config, state = without_training(config, state)
    tasks = {name: task_meta(task) for name, task in build_tasks(config.model.tasks).items()}
    return dict(state_dict=dict(state), meta={**kept, 'cfg': config.pretty_text, 'tasks': tasks})


def without_training(config: Config, state: Mapping[str, Tensor]) -> tuple[Config, dict[str, Tensor]]:
    """Config and weights of the network that predicts: without what its model says only training needs."""
    network = MODELS.get(config.model.type)
    options, prefixes = network.for_prediction(config.model.to_dict())
    config = Config({**config.to_dict(), 'model': options})
    return config, {key: value for key, value in state.items() if not key.startswith(prefixes)}


def task_meta(task: Task) -> dict:
    """What a task's predictions mean, in plain values."""
    described: dict = dict(type=type(task).__name__, out_channels=task.out_channels)
    classes = getattr(task, 'classes', None)
    if classes is not None:
        palette = [[int(value) for value in colour] for colour in classes.palette]
        described.update(classes=list(classes.names), palette=palette)
    return described


def save_with_hash(checkpoint: dict, output: str | Path) -> Path:
    """Save as ``<stem>-<first 8 characters of the file's SHA-256>.pth`` beside ``output``."""
    output = Path(output)
    temporary = output.with_name(f'{output.stem}.unnamed.pth')
    save_checkpoint(checkpoint, str(temporary), backend_args=dict(backend='atomic'))
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()
    return temporary.rename(output.with_name(f'{output.stem}-{digest[:8]}.pth'))
