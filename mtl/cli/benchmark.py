"""Measure latency and memory of a network, from normalised pixels to the predictions of all tasks.

python tools/analysis/benchmark.py configs/quickstart.py --shape 192 192
python tools/analysis/benchmark.py configs/quickstart.py work_dirs/quickstart/epoch_4.pth --tasks semseg --batch-size 4

Reads no image and writes none. Without a checkpoint the weights are random, which takes as long.
"""

from __future__ import annotations

import argparse

import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mtl.apis import InputError
from mtl.apis.loading import checked_device
from mtl.apis.widths import resolved_width, running_at
from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.restoring import MisfitError, build_for_checkpoint, image_size, restore_model
from mtl.cli.shared.configs import check_checkpoint, check_tasks, read_config
from mtl.cli.shared.running import UsageError
from mtl.engine.benchmark import measure


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint (default: random weights)')
    parser.add_argument('--shape', nargs=2, type=int, metavar=('H', 'W'), help="(default: the backbone's img_size)")
    parser.add_argument('--batch-size', type=int, default=1, help='images at once (default: %(default)s)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='these tasks only')
    parser.add_argument('--width', help='of a slimmable network: a ratio, full, small, or a JSON file')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU where there is one)')
    parser.add_argument('--warm-up', type=int, default=10, help='runs before measuring (default: %(default)s)')
    parser.add_argument('--runs', type=int, default=50, help='measured runs (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="of PyTorch on the CPU (default: PyTorch's)")
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if min(args.batch_size, args.runs, args.threads or 1, *(args.shape or [1])) < 1 or args.warm_up < 0:
        parser.error('sizes and numbers of runs are positive.')
    return args


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    config = read_config(args.config, args.cfg_options)
    tasks = check_tasks(config, args.tasks)
    try:
        device = checked_device(args.device) or get_device()
    except InputError as error:
        raise UsageError(str(error)) from error
    if args.threads:
        torch.set_num_threads(args.threads)
    model = build(config, args.checkpoint).to(device)
    height, width = args.shape or image_size(config)
    images = torch.rand(args.batch_size, 3, height, width, device=device)
    try:
        width_now = resolved_width(model, args.width)
    except InputError as error:
        raise UsageError(str(error)) from error
    with running_at(model, width_now):
        found = measure(lambda: model.predict(images, tasks=tasks), args.runs, args.warm_up, device)

    on_gpu = str(device).startswith('cuda')
    where = torch.cuda.get_device_name(device) if on_gpu else f'{torch.get_num_threads()} threads'
    if width_now is not None:
        print(f'width: {width_now}')
    print(f'{args.batch_size} x {height} x {width}, {", ".join(tasks)}; {device} ({where}); {args.runs} runs')
    for share in (50, 90, 99):
        print(f'p{share:<9}{1000 * found.percentile(share):>10.2f} ms')
    print(f'{"images":<10}{args.batch_size / found.percentile(50):>10.2f} a second')
    what = 'tensors on the GPU' if on_gpu else 'the whole process'
    print(f'{"memory":<10}{found.memory / 2**20:>10.0f} MiB at most ({what})')


def build(config: Config, checkpoint: str | None) -> torch.nn.Module:
    """The network, with weights if there are any."""
    if checkpoint is None:
        return build_for_checkpoint(config)
    check_checkpoint(checkpoint)
    try:
        return restore_model(read_checkpoint(checkpoint), config)
    except MisfitError as error:
        raise UsageError(f'{checkpoint}: {error}') from error
