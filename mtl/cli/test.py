"""Evaluate a checkpoint of a config.

python tools/test.py configs/quickstart.py work_dirs/quickstart/epoch_4.pth
python tools/test.py configs/quickstart.py work_dirs/quickstart/epoch_4.pth --tta --show-dir panels --out predictions
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from mmengine.config import Config
from mmengine.runner import Runner

from mtl.checkpoints import read_checkpoint, set_checkpoint_loading
from mtl.checkpoints.adapters_only import is_adapter_only
from mtl.cli.shared.configs import check_checkpoint, check_data, check_tasks
from mtl.cli.shared.launch import load_config, shared_parser
from mtl.cli.shared.running import UsageError
from mtl.engine.unwrapping import unwrapped


def parse_args() -> argparse.Namespace:
    parser = shared_parser(__doc__)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', metavar='DIR', help='write the predictions there')
    parser.add_argument('--show-dir', metavar='DIR', help='write a panel (labels and predictions) of every image there')
    parser.add_argument('--show', action='store_true', help='show every panel in a window')
    parser.add_argument('--wait-time', type=float, default=0.0, help='seconds a window stays (0: until a key)')
    parser.add_argument(
        '--width', metavar='FILE|small|full', help='run a slimmable model at this width (full by default)'
    )
    parser.add_argument('--tta', action='store_true', help='average over flips and the scales of tta_model')
    parser.add_argument('--boundary', choices=['full', 'fast', 'off'], help='how to evaluate boundaries (full: odsF)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    config = load_config(args)
    check_checkpoint(args.checkpoint)
    tasks = check_tasks(config, args.tasks)
    apply_options(config, args)
    check_data(config, ['test_dataloader'])
    runner = Runner.from_cfg(config)
    unwrapped(runner.model).active_tasks = tasks
    load_whole(runner, args.checkpoint, args.config)
    with nullcontext() if args.width is None else unwrapped(runner.model).at_width(args.width):
        runner.test()


def apply_options(config: Config, args: argparse.Namespace) -> None:
    """Turn the flags of this tool into config values."""
    if not is_adapter_only(read_checkpoint(args.checkpoint)):
        config.model.backbone.pretrained = 'checkpoint'  # nothing to fetch: all weights come from the checkpoint
    # what EMAHook averaged are the weights of the checkpoint; at a test it has nothing to do
    hooks = [hook for hook in config.get('custom_hooks', []) if not str(hook.type).endswith('EMAHook')]
    config.custom_hooks = hooks
    if args.show or args.show_dir:
        config.default_hooks.panels = dict(
            type='PanelHook', count=None, out_dir=args.show_dir, show=args.show, wait_time=args.wait_time
        )
    if args.out:
        config.custom_hooks = [*hooks, dict(type='PredictionWriterHook', out_dir=args.out)]
    if args.boundary:
        metrics = config.test_evaluator.metrics
        for name, task in config.tasks.items():
            if task.type == 'Boundary':
                metric = dict(cache=f'{config.work_dir}/boundary_counts', **metrics.get(name, {}))
                metrics[name] = dict(metric, mode=args.boundary)
    if args.tta:
        config.model = dict(**config.tta_model, module=config.model)


def load_whole(runner: Runner, checkpoint: str, config: str) -> None:
    """Load a checkpoint that must fit the model exactly.

    Raises:
        UsageError: it does not.
    """
    try:
        runner.load_checkpoint(checkpoint, strict=True)
    except RuntimeError as error:
        if 'do not match exactly' not in str(error):
            raise
        differences = [line for line in str(error).splitlines()[1:] if line.strip()]
        raise UsageError(
            f'{checkpoint} does not fit the model of {config}: {len(differences)} differences, the first: '
            f'{differences[0].strip()[:300]}'
        ) from error
