"""From a command line to a runner: what `tools/train.py` and `tools/test.py` share."""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from mtl.checkpoints import newest_readable
from mtl.engine.config_check import check_config, check_options
from mtl.errors import ExplainedError
from mtl.registry import DATASETS
from mtl.shipped import ROOT, find_config
from mtl.tasks import select_tasks


class UsageError(ExplainedError, ValueError):
    """A wrong input of the person at the keyboard: shown as a sentence, without a traceback."""


# ---- the command line ---------------------------------------------------------------------------------------------


def shared_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that training and testing share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints (default: ./work_dirs/<config name>)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='run these tasks of the config only')
    parser.add_argument('--baseline', help='single-task results (a JSON file or a known name) to compute delta_m from')
    parser.add_argument('--trust', action='store_true', help='read checkpoints that hold more than weights, too')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='change the config, e.g. train_cfg.max_epochs=1 model.backbone.pretrained=swin.pth',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0, help='set by launchers that use it')
    return parser


def run_tool(main: Callable[[], int | None]) -> None:
    """Run a tool's ``main``. Whatever stops it becomes one sentence; the trace of a surprise is kept in a file.

    Exit status: 2 for what a person can mend (a wrong input, a damaged file, a full disk), 130 after Ctrl-C, 1 for
    anything else. The environment variable ``MTL_TRACE=1`` shows the trace instead.
    """
    try:
        status = main()
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of the output has gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if os.environ.get('MTL_TRACE') == '1':
            raise
        print(f'error: {sentence(error)}', file=sys.stderr)
        if isinstance(error, (ExplainedError, OSError)):
            sys.exit(2)
        print(f'The trace is in {_keep_trace(error)}; MTL_TRACE=1 shows it here.', file=sys.stderr)
        sys.exit(1)
    if status:
        sys.exit(status)


def sentence(error: BaseException) -> str:
    """What an error says, without the trace that a data worker puts before it."""
    text = str(error).strip()
    if text.startswith('Caught ') and '\n' in text:  # of torch, from another process
        last = text.splitlines()[-1]
        kind, _, words = last.partition(': ')
        text = words if words and ' ' not in kind else last
    if isinstance(error, OSError) and error.strerror:
        where = f'{error.filename}: ' if error.filename is not None else ''
        return f'{where}{error.strerror}.'
    if isinstance(error, KeyError) and len(error.args) == 1:
        text = str(error.args[0])
    if isinstance(error, (ExplainedError, OSError)):
        return text or type(error).__name__
    return f'{text} ({type(error).__name__})' if text else type(error).__name__


def _keep_trace(error: BaseException) -> Path:
    with tempfile.NamedTemporaryFile('w', prefix='mtl-trace-', suffix='.txt', delete=False) as file:
        traceback.print_exception(error, file=file)
    return Path(file.name)


# ---- the config ---------------------------------------------------------------------------------------------------


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


def load_config(args: argparse.Namespace) -> Config:
    """The config of ``args.config`` with the shared options applied.

    Raises:
        UsageError: a file or a task that does not exist, or a launcher that cannot work here.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = read_config(args.config, args.cfg_options)
    config.work_dir = args.work_dir or config.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    config.launcher = args.launcher
    if args.baseline:
        set_baseline(config, args.baseline)
    if args.launcher != 'none':
        distribute(config)
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


_owned: dict[Path, FileLock] = {}


def claim(work_dir: str | Path) -> None:
    """Make this run the only one that writes to ``work_dir``, until it ends in whatever way.

    Of a run of several processes the first one claims.

    Raises:
        UsageError: another run is at work there; the message names it.
    """
    path = Path(work_dir).resolve()
    if int(os.environ.get('RANK', '0')) or path in _owned:
        return
    path.mkdir(parents=True, exist_ok=True)
    owner, lock = path / '.owner', FileLock(path / '.lock')
    (path / '.lock').touch()
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = owner.read_text().strip() if owner.is_file() else 'another process'
        raise UsageError(
            f'{work_dir} belongs to a run that is going on: {who}. Wait for it, stop it, or choose another folder with '
            '--work-dir.'
        ) from error
    owner.write_text(f'process {os.getpid()} on {platform.node()}, since {time.strftime("%Y-%m-%d %H:%M:%S")}\n')
    _owned[path] = lock


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


# ---- processes ----------------------------------------------------------------------------------------------------


def distribute(config: Config) -> None:
    """Several processes. Without an accelerator, which MMEngine does not provide for: gloo, no device ids.

    Raises:
        UsageError: no accelerator, and a launcher that assigns GPUs.
    """
    # MMEngine looks this name up without the config's scope
    config.model_wrapper_cfg = dict(type='mtl.MultiTaskDistributedDataParallel', broadcast_buffers=False)
    if get_device() != 'cpu':
        return
    if config.launcher != 'pytorch':
        raise UsageError(
            f'--launcher {config.launcher} assigns a GPU to each process, and there is none. On CPUs use torchrun and '
            '--launcher pytorch: tools/dist_train.sh does.'
        )
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group('gloo')
    config.model_wrapper_cfg.device_ids = None


def command_line(*extra: str) -> str:
    """The command this process was started with, plus ``extra``, to be typed again."""
    program, *arguments = sys.argv
    words = program.split() if program.startswith('mtl ') else ['python', program]
    return shlex.join([*words, *arguments, *extra])
