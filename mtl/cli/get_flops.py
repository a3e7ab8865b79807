"""Multiplications and parameters of a network: of all tasks together, and of each task alone.

python tools/analysis/get_flops.py configs/quickstart.py --shape 192 192

GMACs are billions of multiply-accumulate operations of one image, from pixels to logits (a FLOP count is twice that).
Parameters, in millions, are those that the output depends on, so a task alone has fewer; `adapters` are those of
adapter layers, `other trainable` the rest of the backbone that trains.
"""

from __future__ import annotations

import argparse

from mmengine.config import DictAction
from rich.console import Console
from rich.table import Table
from torch import nn

from mtl.apis import InputError
from mtl.apis.widths import resolved_width, running_at
from mtl.checkpoints.restoring import build_for_checkpoint, image_size
from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError
from mtl.models.accounting import count_macs, count_parameters, parameters_read
from mtl.models.slimmable import WidthConfig

GROUPS = ('frozen', 'adapters', 'other trainable', 'decoders', 'heads', 'trainable', 'total')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape', nargs=2, type=int, metavar=('H', 'W'), help="of the image (default: the backbone's img_size)"
    )
    parser.add_argument('--width', help='of a slimmable network: a ratio, full, small, or a JSON file')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if args.shape and min(args.shape) < 1:
        parser.error('--shape takes a height and a width in pixels.')
    return args


def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    model = build_for_checkpoint(config)
    height, width = args.shape or image_size(config)
    try:
        at = resolved_width(model, args.width)
    except InputError as error:
        raise UsageError(str(error)) from error
    console = Console()
    # a table that is piped somewhere is not cut to the width of a terminal
    (console if console.is_terminal else Console(width=200)).print(table(model, height, width, at))


def table(model: nn.Module, height: int, width: int, at: WidthConfig | None = None) -> Table:
    """A row of all tasks, and one of each alone, of the whole network or at a width."""
    title = f'one image of {height} x {width}; parameters in millions' + (f'; width: {at}' if at else '')
    result = Table('tasks', 'GMACs', *GROUPS, title=title)
    for column in result.columns[1:]:
        column.justify = 'right'
    tasks = tuple(model.tasks if at is None else at.decoder)
    with running_at(model, at):
        for chosen in (tasks, *((task,) for task in tasks if len(tasks) > 1)):
            model.active_tasks = chosen
            counts = count_parameters(model, parameters_read(model))
            name = 'all' if chosen == tasks else chosen[0]
            macs = count_macs(model, height, width)
            result.add_row(name, f'{macs / 1e9:.3f}', *(f'{counts[group] / 1e6:.3f}' for group in GROUPS))
    return result
