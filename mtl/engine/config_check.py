"""Keys that nobody reads, and numbers that cannot be meant: found before anything is built."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator, Mapping

from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mtl.checkpoints.known_types import registered
from mtl.errors import ExplainedError
from mtl.models.multi_task_model import WIDTH_OPTIONS

ALWAYS = {'type', '_scope_', '_delete_'}
# keys that are read before a class is built: by the runner, of schedules and wrappers; by mmcv, of norms
BEFOREHAND = {'constructor', 'paramwise_cfg', 'convert_to_iter_based', 'by_epoch', 'requires_grad'}
DATALOADER = {*inspect.signature(DataLoader).parameters, 'sampler', 'batch_sampler', 'dataset', 'num_batch_per_epoch'}
# what stands under these names without a `type` of its own
DEFAULT_TYPES = {'adapters': 'MTLoRA', 'optim_wrapper': 'OptimWrapper', 'slimming': 'Sandwich'}
LEAST = {'max_epochs': 1, 'max_iters': 1, 'val_interval': 1, 'batch_size': 1, 'num_workers': 0}


class ConfigKeyError(ExplainedError, ValueError):
    """A key of a config that nothing reads, or a value out of its range."""


def check_config(config: Config) -> None:
    """Look at every key of a config whose readers are known: arguments of registered classes, loaders, the runner.

    Args:
        config: with ``--cfg-options`` merged.

    Raises:
        ConfigKeyError: a key that nothing reads, with the nearest one that is read; or a number below its least.
    """
    runner = set(inspect.signature(Runner.__init__).parameters) - {'self'}
    for name in config:
        near = difflib.get_close_matches(name, runner | {'tta_model'}, n=1, cutoff=0.85)
        if name not in runner and near and name != 'tta_model' and isinstance(config[name], (Mapping, list)):
            raise _unknown(name, near[0], 'the config')
    for name, value in _walk(config, ''):
        _check_range(name, value)
        if isinstance(value, Mapping):
            _check_keys(name, value)


def check_options(options: Mapping, config: Config) -> None:
    """A top-level name in ``--cfg-options`` is in the config, or one that the runner knows.

    Raises:
        ConfigKeyError: it is neither.
    """
    known = {*config, *(set(inspect.signature(Runner.__init__).parameters) - {'self'}), 'tta_model', 'custom_imports'}
    for key in options:
        top = key.split('.')[0]
        if top not in known:
            near = difflib.get_close_matches(top, known, n=1, cutoff=0.5)
            advice = f' Did you mean {".".join([near[0], *key.split(".")[1:]])}?' if near else ''
            raise ConfigKeyError(f'The config does not know {key}.{advice}')


def _walk(node, where: str) -> Iterator[tuple[str, object]]:
    items = node.items() if isinstance(node, (Mapping, Config)) else enumerate(node)
    for key, value in items:
        name = f'{where}.{key}' if where else str(key)
        yield name, value
        if isinstance(value, (Mapping, list, tuple)):
            yield from _walk(value, name)


def _check_range(name: str, value) -> None:
    key = name.rsplit('.', 1)[-1]
    if key in LEAST and isinstance(value, (int, float)) and not isinstance(value, bool) and value < LEAST[key]:
        raise ConfigKeyError(f'{name} is at least {LEAST[key]}; found {value}.')


def _check_keys(name: str, value: Mapping) -> None:
    last = name.rsplit('.', 1)[-1]
    if last in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        known, reader = DATALOADER, 'a data loader'
    else:
        kind = value.get('type', DEFAULT_TYPES.get(last))
        known, reader = arguments_of(kind), kind
        if last == 'slimming' and known is not None:
            known, reader = known | set(WIDTH_OPTIONS), 'MultiTaskModel'
    if known is None:
        return
    for key in value:
        if key not in known and key not in ALWAYS | BEFOREHAND:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise _unknown(f'{name}.{key}', near[0] if near else None, str(reader))


def arguments_of(kind) -> set[str] | None:
    """The names of all arguments that building ``kind`` takes; ``None`` where they cannot be known."""
    built = registered(kind) if isinstance(kind, str) else kind
    builders = [built] if inspect.isfunction(built) else []
    if inspect.isclass(built):
        builders = [base.__init__ for base in built.__mro__ if '__init__' in vars(base) and base is not object]
    names: set[str] = set()
    for builder in builders:
        parameters = inspect.signature(builder).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {'self'}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return None


def _unknown(name: str, nearest: str | None, reader: str) -> ConfigKeyError:
    head = name.rsplit('.', 1)[0] + '.' if '.' in name else ''
    advice = f' Did you mean {head}{nearest}?' if nearest else ''
    return ConfigKeyError(f'{reader[0].upper()}{reader[1:]} does not know {name}.{advice}')
