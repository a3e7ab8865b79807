"""Train a config.

python tools/train.py configs/quickstart.py
python tools/train.py configs/mtlora_swin_pascal.py --work-dir work_dirs/r64 --cfg-options data_root=/data/PASCAL_MT
python tools/train.py configs/quickstart.py --resume
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.runner import Runner

from mtl.checkpoints import newest_readable, set_checkpoint_loading
from mtl.cli.shared.configs import check_data, keep_tasks, resume_from, use_amp
from mtl.cli.shared.launch import claim, load_config, shared_parser
from mtl.cli.shared.running import command_line


def parse_args() -> argparse.Namespace:
    parser = shared_parser(__doc__)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='continue from the newest readable checkpoint of the work dir, or from PATH',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision (needs a GPU)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    config = load_config(args)
    if args.tasks:
        keep_tasks(config, args.tasks)
    if args.amp:
        use_amp(config)
    claim(config.work_dir)
    if args.resume:
        resume_from(config, args.resume)
    check_data(config, ['train_dataloader', 'val_dataloader'])
    runner = Runner.from_cfg(config)
    try:
        runner.train()
    except KeyboardInterrupt:
        report_interruption(runner.work_dir, resuming=args.resume is not None)
        sys.exit(130)
    if runner.rank == 0:
        print(f'Checkpoints and panels are in {runner.work_dir}. Curves: tensorboard --logdir {runner.work_dir}')


def report_interruption(work_dir: str, resuming: bool) -> None:
    """Say where the last checkpoint is and how to go on."""
    checkpoint = newest_readable(work_dir)
    if checkpoint is None:
        print(f'\nInterrupted before the first checkpoint: there is nothing to resume in {Path(work_dir)}.')
        return
    print(f'\nInterrupted. The last checkpoint is {checkpoint}. To go on:')
    print(f'  {command_line(*([] if resuming else ["--resume"]))}')
