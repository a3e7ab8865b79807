"""From a command line to a runner: what `tools/train.py` and `tools/test.py` share."""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mtl.cli.shared.configs import read_config, set_baseline
from mtl.cli.shared.running import UsageError


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
