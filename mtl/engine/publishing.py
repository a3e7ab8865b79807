"""What a checkpoint file must tell so that it needs no config beside it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import save_checkpoint
from torch import Tensor, nn

from mtl.registry import MODELS
from mtl.tasks import Task, build_tasks

KEPT_META = ('epoch', 'iter', 'seed', 'base', 'converted_from', 'mmengine_version', 'experiment_name')


def build_for_checkpoint(config: Config, pretrained: bool | str = 'checkpoint') -> nn.Module:
    """The config's model, in evaluation mode, for weights that come from a checkpoint.

    Args:
        config: config of a run.
        pretrained: see :func:`mtl.models.backbones.pretrained.load_pretrained`.
    """
    init_default_scope(config.get('default_scope', 'mtl'))
    model = copy.deepcopy(config.model)
    model.backbone.pretrained = pretrained
    return MODELS.build(model).eval()


def stored_config(checkpoint: Mapping) -> Config:
    """The config that a run stored in its checkpoint.

    Raises:
        ValueError: there is none.
    """
    text = checkpoint.get('meta', {}).get('cfg')
    if not text:
        raise ValueError('it holds no config (meta["cfg"]), as checkpoints of a run do.')
    return Config.fromstring(text, '.py')


def published(state: Mapping[str, Tensor], config: Config, meta: Mapping) -> dict:
    """A checkpoint of weights and what an inferencer must know: config text, tasks, classes, palette."""
    kept = {key: value for key, value in meta.items() if key in KEPT_META}
    tasks = {name: task_meta(task) for name, task in build_tasks(config.model.tasks).items()}
    return dict(state_dict=dict(state), meta={**kept, 'cfg': config.pretty_text, 'tasks': tasks})


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
