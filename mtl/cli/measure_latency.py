"""Measure what the widths of a slimmable network take on this device: a table for search_width.py --budget ms=VALUE.

    python tools/analysis/measure_latency.py CONFIG --shape 448 448 --out latency.json
    python tools/analysis/measure_latency.py CONFIG CHECKPOINT --tasks semseg normals --merged --out latency.json

Materialises some widths and measures one image through each, from normalised pixels to the predictions of all tasks.
What each stage and each decoder takes at its ratio is fitted to most of them (non-negative least squares) and checked
on the others. Without a checkpoint the weights are random, which takes as long. Close what else runs, and set the
number of threads that the network will have.
"""

from __future__ import annotations

import argparse
import platform
from pathlib import Path

import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from rich import box
from rich.table import Table

from mtl.checkpoints import set_checkpoint_loading
from mtl.checkpoints.restoring import image_size
from mtl.cli.shared.configs import check_tasks
from mtl.cli.shared.report import as_text
from mtl.cli.shared.running import UsageError
from mtl.cli.shared.setup import slimmable_network
from mtl.models.slimmable import WidthConfig
from mtl.progress import report_progress
from mtl.search.cost_table import CostTable
from mtl.search.counting import CostError
from mtl.search.latency import LatencyTable
from mtl.search.measuring import median_milliseconds, static_network, widths_to_measure
from mtl.search.width_search import options_of


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of a network with several widths (model.slimming)')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint (default: random weights)')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='table to write (.json)')
    parser.add_argument('--shape', nargs=2, type=int, metavar=('H', 'W'), help="(default: the backbone's img_size)")
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='of these tasks only')
    parser.add_argument('--merged', action='store_true', help='with the adapters folded into plain layers')
    parser.add_argument('--widths', type=int, default=48, help='widths to fit (default: %(default)s)')
    parser.add_argument('--held-out', type=int, default=12, help='widths to check the fit (default: %(default)s)')
    parser.add_argument('--repeats', type=int, default=7, help='runs per width (default: %(default)s)')
    parser.add_argument('--threads', type=int, help="of PyTorch on the CPU (default: PyTorch's)")
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if min(args.widths, args.held_out, args.repeats, args.threads or 1, *(args.shape or [1])) < 1:
        parser.error('sizes and numbers are positive.')
    return args


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    if args.threads:
        torch.set_num_threads(args.threads)
    config, model = slimmable_network(args.config, args.checkpoint, args.cfg_options)
    tasks = check_tasks(config, args.tasks)
    height, width = args.shape or image_size(config)
    try:
        cost = CostTable(model, (height, width), tasks, args.merged)
    except CostError as error:
        raise UsageError(str(error)) from error
    device = get_device()
    model = model.cpu()  # the static networks go to the device, some at a time
    image = torch.rand(1, 3, height, width, device=device)

    widths = widths_to_measure(model.space, tasks, args.widths + args.held_out, args.seed)
    named = 2 + len(options_of(model.space.encoder))  # these are always fitted, so that nothing is extrapolated
    if len(widths) < named + 2:
        raise UsageError(f'The network has {len(widths)} widths: too few to fit some and check the others.')
    networks = (static_network(model, config.model, w, tasks, args.merged) for w in widths)
    measured = list(
        report_progress(median_milliseconds(networks, image, args.repeats), len(widths), 'Measuring widths')
    )
    held_out = min(args.held_out, len(widths) - named)
    fitted = len(widths) - held_out
    table = LatencyTable.fit(
        widths[:fitted], measured[:fitted], options_of(model.space.encoder), options_of(model.space.decoder)
    )
    errors = table.errors(widths[fitted:], measured[fitted:])
    about = dict(
        device=device_name(device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        config=args.config,
        shape=[height, width],
        tasks=list(tasks),
        merged=args.merged,
        repeats=args.repeats,
        fitted=fitted,
        held_out={'widths': held_out, **errors},
        measured=[
            {'width': w.to_dict(), 'ms': ms, 'macs': cost.of(w)['macs']} for w, ms in zip(widths, measured, strict=True)
        ],
    )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    LatencyTable(**{**vars(table), 'about': about}).save(args.out)
    print(summary(about, table))
    print(
        f'{held_out} widths that were not fitted: error {errors["mean"]:.1f} % in the mean, {errors["largest"]:.1f} % '
        f'at most, rank correlation {errors["rank correlation"]:.3f}. Wrote {args.out}.'
    )


def device_name(device: str) -> str:
    """What measured times belong to."""
    if device == 'cuda':
        return torch.cuda.get_device_name()
    return f'{device} ({platform.processor() or platform.machine()})'


def summary(about: dict, table: LatencyTable) -> str:
    """Measured widths of one ratio everywhere, against full width."""
    uniform = [
        entry
        for entry in about['measured']
        if len(set(entry['width']['encoder'])) == 1 and len(set(entry['width']['decoder'].values())) == 1
    ]
    full = max(uniform, key=lambda entry: entry['macs'])
    height, width = about['shape']
    lines = Table(
        title=f'{height} x {width}, {", ".join(about["tasks"])}; {about["device"]}, {about["threads"]} threads',
        box=box.SIMPLE_HEAD,
        title_justify='left',
    )
    for name in ('encoder', 'decoders', 'GMACs', 'share', 'ms', 'share ', 'table, ms'):
        lines.add_column(name, justify='right')
    for entry in sorted(uniform, key=lambda entry: -entry['macs']):
        ratios = entry['width']['encoder'][0], next(iter(entry['width']['decoder'].values()))
        found = table.of(WidthConfig.from_dict(entry['width']))
        lines.add_row(
            *(f'{ratio:.3g}' for ratio in ratios),
            f'{entry["macs"] / 1e9:.3f}',
            f'{100 * entry["macs"] / full["macs"]:.1f} %',
            f'{entry["ms"]:.1f}',
            f'{100 * entry["ms"] / full["ms"]:.1f} %',
            f'{found:.1f}',
        )
    return as_text(lines)
