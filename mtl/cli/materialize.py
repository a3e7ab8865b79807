"""Cut a smaller network out of a slimmable one: an ordinary checkpoint, and the config that it fits.

    python tools/deploy/materialize.py CONFIG CHECKPOINT small.pth --width small
    python tools/deploy/materialize.py CONFIG CHECKPOINT normals.pth --width width.json --tasks normals --merge

Beside small.pth stands small.py, its config, of a plain MultiTaskModel that tools/test.py and everything else accept.
Outputs are those of the slimmable network at that width, which is checked on a random image. `--merge` also folds the
adapters, as tools/deploy/merge_adapters.py does. Widths are found by tools/search_width.py, or written by hand:
{"encoder": [one ratio per stage], "decoder": {task: ratio}}.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.publishing import published
from mtl.checkpoints.restoring import MisfitError, build_for_checkpoint, restore_model
from mtl.cli.shared.configs import check_checkpoint, check_tasks, keep_tasks, read_config
from mtl.cli.shared.running import UsageError
from mtl.models.adapters import fold_model
from mtl.models.adapters.folding import folding_report
from mtl.models.slimmable.materialize import materialize
from mtl.writing import write_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('output', type=Path, help='checkpoint to write (.pth)')
    parser.add_argument('--width', required=True, metavar='FILE|small|full', help='the width')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='keep these tasks only')
    parser.add_argument('--merge', action='store_true', help='fold the adapters into plain weights where that is exact')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    config, checkpoint = read_inputs(args)
    try:
        model = restore_model(checkpoint, config)
    except MisfitError as error:
        raise UsageError(f'{args.checkpoint}: {error}') from error
    width = model.space.named(args.width)
    tasks = check_tasks(config, args.tasks or width.decoder)
    side = 4 * model.backbone.size_divisor
    image = torch.randn(1, 3, side, side)
    with torch.no_grad(), model.at_width(width):
        expected = model.logits(image, tasks)

    options, state = materialize(model, config.model, width, tasks)
    make_static(config, options, tasks)
    small = build_for_checkpoint(config)
    small.load_state_dict(state)
    if args.merge:
        state, kept = fold_model(small, config, tasks)
        print(folding_report(kept))
        small = build_for_checkpoint(config)
        small.load_state_dict(state)
    with torch.no_grad():
        found = small.logits(image)
    difference = max((found[task] - expected[task]).abs().max().item() for task in tasks)

    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(args.output, published(state, config, checkpoint.get('meta', {})))
    config.dump(args.output.with_suffix('.py'))
    before, after = (sum(parameter.numel() for parameter in each.parameters()) for each in (model, small))
    print(f'Width: {width}.')
    print(f'{after:,} of {before:,} parameters. Largest difference of a logit: {difference:.1e}.')
    print(f'Wrote {args.output} and {args.output.with_suffix(".py")}.')


def read_inputs(args: argparse.Namespace) -> tuple[Config, dict]:
    """Config and checkpoint."""
    check_checkpoint(args.checkpoint)
    config = read_config(args.config)
    if config.model.get('slimming') is None:
        raise UsageError(f'{args.config} builds a network that has one width only (model.slimming=None).')
    return config, read_checkpoint(args.checkpoint)


def make_static(config: Config, options: dict, tasks: tuple[str, ...]) -> None:
    """The config of the small network: its model, its tasks, validation at its one width."""
    config.model = ConfigDict(options)
    keep_tasks(config, tasks)
    if config.get('val_cfg', {}).get('type') == 'WidthValLoop':
        config.val_cfg = dict(type='ValLoop')
