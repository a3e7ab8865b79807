"""Configs as the tools read and change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from mtl.checkpoints import newest_readable
from mtl.cli.shared.running import UsageError, sentence
from mtl.engine.config_check import check_config, check_options
from mtl.registry import DATASETS
from mtl.shipped import ROOT, find_config
from mtl.tasks import select_tasks


def read_config(path: str, options: Mapping | None = None) -> Config:
    """The config of a file, with ``--cfg-options`` merged; its scope becomes the default.

    Raises:
        ConfigKeyError: see :func:`mtl.engine.config_check.check_config`.
        UsageError: there is no such file, it cannot be read, or a module of its ``custom_imports`` is not found.
    """
    found = find_config(path)
    if found is None:
        raise UsageError(
            f'There is no config {path}. The configs that come with the project are in {ROOT / "configs"}.'
        )
    try:
        config = Config.fromfile(found)
    except ImportError as error:
        raise UsageError(
            f'The config {path} names modules in custom_imports that Python does not find '
            f'({error.__cause__ or error}). Put their folder on the path: PYTHONPATH=FOLDER python ...'
        ) from error
    except Exception as error:  # a config is a program, or YAML or JSON: it may fail in any way
        raise UsageError(f'The config {path} cannot be read ({type(error).__name__}: {error}).') from error
    init_default_scope(config.get('default_scope', 'mtl'))
    change_options(config, options or {})
    check_config(config)
    return config


def change_options(config: Config, options: Mapping) -> None:
    """Merge ``--cfg-options``.

    A top-level variable of the config, such as ``data_root``, changes wherever the config has used it under the same
    name, as if the file had said so.
    """
    check_options(options, config)
    before = {key: config[key] for key in options if key in config}
    try:
        config.merge_from_dict(dict(options))
    except (TypeError, KeyError, IndexError, ValueError) as error:
        raise UsageError(f'--cfg-options {" ".join(options)} cannot be merged into the config: {error}') from error
    for key, old in before.items():
        _rewrite(config, key, lambda value, old=old, new=config[key]: new if value == old else value)


def _rewrite(node, key: str, rule: Callable) -> None:
    """Apply ``rule`` to every value below ``node`` that stands under ``key``."""
    if isinstance(node, (Config, dict)):
        for name in list(node.keys()):
            if name == key:
                node[name] = rule(node[name])
            _rewrite(node[name], key, rule)
    elif isinstance(node, (list, tuple)):
        for value in node:
            _rewrite(value, key, rule)


def keep_tasks(config: Config, wanted: Iterable[str]) -> None:
    """Leave only the ``wanted`` tasks in the config: model, data and evaluation no longer know the others.

    Raises:
        UsageError: a task that the config does not have.
    """
    names = check_tasks(config, wanted)

    def kept(by_task: Mapping) -> ConfigDict:
        return ConfigDict({name: value for name, value in by_task.items() if name in names})

    _rewrite(config, 'tasks', kept)
    for evaluator in ('val_evaluator', 'test_evaluator'):
        if 'metrics' in config.get(evaluator, {}):
            config[evaluator].metrics = kept(config[evaluator].metrics)


def check_tasks(config: Config, wanted: Iterable[str]) -> tuple[str, ...]:
    """The ``wanted`` tasks in the config's order.

    Raises:
        UsageError: a task that the config does not have.
    """
    try:
        return select_tasks(config.tasks, wanted)
    except ValueError as error:
        raise UsageError(str(error)) from error


def set_baseline(config: Config, baseline: str) -> None:
    """Compare with single-task results, and keep the checkpoint with the best ``delta_m``."""
    for evaluator in ('val_evaluator', 'test_evaluator'):
        config[evaluator].baseline = baseline
    config.default_hooks.checkpoint.update(save_best='delta_m', rule='greater')


def use_amp(config: Config) -> None:
    """Mixed precision on an accelerator.

    Raises:
        UsageError: there is none.
    """
    if get_device() == 'cpu':
        raise UsageError('--amp needs a GPU: on a CPU mixed precision is slower than float32. Leave the flag out.')
    config.optim_wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')


def resume_from(config: Config, checkpoint: str) -> None:
    """Continue from a checkpoint, or, with ``'auto'``, from the newest readable one in the work dir, if any.

    Raises:
        UsageError: the checkpoint does not exist.
    """
    if checkpoint == 'auto':
        found = newest_readable(config.work_dir)
        if found is None:
            print_log(f'Nothing to resume in {config.work_dir}: starting from the beginning.')
            return
        checkpoint = str(found)
    check_checkpoint(checkpoint)
    config.resume, config.load_from = True, checkpoint


def check_checkpoint(path: str) -> None:
    """Raise :class:`UsageError` if there is no such local file; addresses pass."""
    if '://' not in path and not Path(path).is_file():
        raise UsageError(f'There is no checkpoint {path}.')


def check_data(config: Config, loaders: Iterable[str]) -> None:
    """Build the data sets once, before the model: missing data stop a run within seconds.

    Raises:
        UsageError: the folder is missing or is not laid out as it should be.
    """
    for loader in loaders:
        try:
            DATASETS.build(config[loader].dataset)
        except (FileNotFoundError, PermissionError) as error:
            raise UsageError(sentence(error)) from error
