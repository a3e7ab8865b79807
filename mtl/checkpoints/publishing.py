"""What a checkpoint file must tell so that it needs no config beside it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import save_checkpoint
from torch import Tensor

from mtl.checkpoints.finite import check_finite
from mtl.checkpoints.restoring import build_for_checkpoint
from mtl.registry import MODELS
from mtl.tasks import Task, build_tasks, select_tasks

KEPT_META = ('epoch', 'iter', 'seed', 'base', 'converted_from', 'mmengine_version', 'experiment_name', 'results')


def published(state: Mapping[str, Tensor], config: Config, meta: Mapping, tasks: Sequence[str] | None = None) -> dict:
    """A checkpoint of weights and what an inferencer must know: config text, tasks, classes, palette.

    What ``meta`` says of the network's quality is kept: ``results``, ``{width: {'<task>/<metric>': value}}``.

    Args:
        state: weights of the network.
        config: its config.
        meta: of the run's checkpoint.
        tasks: names of the tasks to keep; all by default.

    Raises:
        NotFiniteError: a weight is inf or NaN.
        ValueError: a task that the network does not have.
    """
    check_finite(state, 'The checkpoint', 'Publish an earlier one.')
    kept = {key: value for key, value in meta.items() if key in KEPT_META}
    config, state = without_training(config, state)
    if tasks is not None:
        config, state = with_tasks(config, state, tasks)
    described = {name: task_meta(task) for name, task in build_tasks(config.model.tasks).items()}
    return dict(state_dict=dict(state), meta={**kept, 'cfg': config.pretty_text, 'tasks': described})


def without_training(config: Config, state: Mapping[str, Tensor]) -> tuple[Config, dict[str, Tensor]]:
    """Config and weights of the network that predicts: without what its model says only training needs."""
    network = MODELS.get(config.model.type)
    options, prefixes = network.for_prediction(config.model.to_dict())
    config = Config({**config.to_dict(), 'model': options})
    return config, {key: value for key, value in state.items() if not key.startswith(prefixes)}


def with_tasks(config: Config, state: Mapping[str, Tensor], tasks: Sequence[str]) -> tuple[Config, dict[str, Tensor]]:
    """Config and weights of the network that has these ``tasks`` only.

    Raises:
        ValueError: a task that the network does not have.
    """
    config = copy.deepcopy(config)
    config.model.tasks = {name: config.model.tasks[name] for name in select_tasks(config.model.tasks, tasks)}
    wanted = build_for_checkpoint(config).state_dict()
    return config, {key: value for key, value in state.items() if key in wanted}


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
