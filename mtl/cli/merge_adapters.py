"""Fold the adapters of a checkpoint into plain weights, and write the config that the result fits.

    python tools/deploy/merge_adapters.py CONFIG CHECKPOINT merged.pth
    python tools/deploy/merge_adapters.py CONFIG CHECKPOINT semseg.pth --task semseg

Beside merged.pth stands merged.py, its config. Outputs stay the same, which is checked on a random image. Layers that
cannot be folded keep their adapters, and the reason is printed: with base_input='shared' (as published) those with
task updates; with base_input='task' none. `--task` keeps one task only: its decoder, its head, its weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from mmengine.config import Config

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.publishing import published
from mtl.checkpoints.restoring import MisfitError, build_for_checkpoint, restore_model
from mtl.cli.shared.configs import check_checkpoint, check_tasks, keep_tasks, read_config
from mtl.cli.shared.running import UsageError
from mtl.models.adapters import fold_model
from mtl.models.adapters.folding import folding_report
from mtl.writing import write_checkpoint


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('output', type=Path, help='checkpoint to write (.pth)')
    parser.add_argument('--task', help='keep this task only')
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
    tasks = check_tasks(config, [args.task] if args.task else None)
    divisor = model.backbone.size_divisor
    image = torch.randn(1, 3, 4 * divisor, 4 * divisor)
    with torch.no_grad():
        expected = model.logits(image, tasks)
    if args.task:
        keep_tasks(config, tasks)
    state, kept = fold_model(model, config, tasks)
    plain = build_for_checkpoint(config)
    plain.load_state_dict(state)
    with torch.no_grad():
        found = plain.logits(image)
    difference = max((found[task] - expected[task]).abs().max().item() for task in tasks)

    config.model.backbone.pretrained = 'checkpoint'
    args.output.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(args.output, published(state, config, checkpoint.get('meta', {})))
    config.dump(args.output.with_suffix('.py'))
    print(folding_report(kept))
    print(f'Largest difference of a logit: {difference:.1e}. Wrote {args.output} and {args.output.with_suffix(".py")}.')


def read_inputs(args: argparse.Namespace) -> tuple[Config, dict]:
    """Config and checkpoint."""
    check_checkpoint(args.checkpoint)
    config = read_config(args.config)
    if not config.model.backbone.get('adapters'):
        raise UsageError(f'{args.config} has no adapters (model.backbone.adapters): there is nothing to merge.')
    return config, read_checkpoint(args.checkpoint)
