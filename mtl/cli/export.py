"""Write a network as a file that runs without this package, and check that the file gives the network's numbers.

    python tools/deploy/export.py CONFIG CHECKPOINT model.onnx
    python tools/deploy/export.py CONFIG CHECKPOINT model.onnx --dynamic-batch --dynamic-size --merge
    python tools/deploy/export.py CONFIG CHECKPOINT model.pt2 --format torch-export --tasks semseg normals
    python tools/deploy/export.py CONFIG CHECKPOINT small.onnx --width small

The file maps a normalised image to the logits of every task; classes, palettes and normalisation are in its metadata.
It is compared with the network on random values and photographs: the largest differences are printed, and a file that
differs by more than 1e-4 of the largest logit is not kept. tools/deploy/run_onnx.py shows how to use one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.restoring import restore_model
from mtl.cli.shared.configs import check_checkpoint, check_tasks, read_config
from mtl.cli.shared.running import UsageError
from mtl.deploy import FORMATS, Exported, ParityError, export


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('output', type=Path, help='file to write')
    parser.add_argument('--format', choices=FORMATS, default='onnx', help='(default: %(default)s)')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='these tasks only')
    parser.add_argument('--width', help="of a slimmable network: 'full', 'small', or a JSON file")
    parser.add_argument('--merge', action='store_true', help='fold adapters into plain weights where that is exact')
    parser.add_argument('--dynamic-batch', action='store_true', help='for any number of images at once, not one')
    parser.add_argument('--dynamic-size', action='store_true', help='for images of any size, not one size')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    check_checkpoint(args.checkpoint)
    config = read_config(args.config)
    tasks = check_tasks(config, args.tasks)
    try:
        model = restore_model(read_checkpoint(args.checkpoint), config)
        width = None if args.width is None else model.space.named(args.width)
        options = dict(merge=args.merge, dynamic_batch=args.dynamic_batch, dynamic_size=args.dynamic_size)
        exported = export(model, config, args.output, args.format, tasks, width, **options)
    except ParityError as error:
        sys.exit(f'error: {error}\nNothing was written.')
    except ValueError as error:
        raise UsageError(f'{args.checkpoint}: {error}') from error
    report(exported)
    print(f'Wrote {args.output}, {args.output.stat().st_size / 1e6:.1f} MB.')


def report(exported: Exported) -> None:
    """Print the differences, and which adapters are left."""
    reasons = exported.kept_adapters.values()
    for reason in dict.fromkeys(reasons):
        print(f'{list(reasons).count(reason)} layers keep their adapters: {reason}')
    print('Largest differences of a logit between file and network (relative: to the largest logit):')
    print(*(f'  {difference}' for difference in exported.differences), sep='\n')
