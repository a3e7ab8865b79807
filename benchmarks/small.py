"""What a smaller width saves: time of a forward pass beside its multiplications, at two sizes of image.

    python benchmarks/small.py --threads 1 --out small.json
    python benchmarks/small.py --config configs/mtlora_swin_pascal.py --sizes 448

Networks are cut out of a slimmable one (`tools/deploy/materialize.py --merge` does it for a checkpoint): the full
width, the smallest, and the widest of one ratio everywhere that takes at most `--share` of the multiplications, where
there is one. Weights are random, which takes as long. Runs take turns, so that a busy machine slows all of them.

`rest` is the pass as an inferencer runs it, with what depends on weights alone kept; in brackets, every pass computes
it again. Operators are what PyTorch dispatches in a pass, allocations those that give new memory.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from timing import seconds
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mtl.cli.shared.setup import slimmable_network
from mtl.models import MultiTaskModel
from mtl.models.accounting import counted_macs
from mtl.models.slimmable import WidthConfig
from mtl.ops.kept import KeptProducts
from mtl.search.measuring import static_network
from mtl.search.width_search import options_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--config', default='configs/quickstart.py', help='of a network with several widths')
    parser.add_argument('--sizes', type=int, nargs='+', default=[448, 160], help='sides of the square image, in pixels')
    parser.add_argument('--share', type=float, default=0.25, help='of the multiplications of full width')
    parser.add_argument('--rounds', type=int, default=15, help='timed rounds, after two that are not counted')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    args.device = 'cpu'
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    config, model = slimmable_network(args.config, None, {})
    tasks = tuple(model.tasks)
    report = dict(
        machine=f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}',
        settings={key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        sizes=[],
    )
    for size in args.sizes:
        widths = chosen_widths(model, tasks, size, args.share)
        networks = {name: static_network(model, config.model, width, tasks, True) for name, width in widths.items()}
        result = dict(
            size=size, widths={name: w.to_dict() for name, w in widths.items()}, **measure(networks, size, args)
        )
        report['sizes'].append(result)
        print(as_table(result))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


def chosen_widths(model: MultiTaskModel, tasks: tuple[str, ...], size: int, share: float) -> dict[str, WidthConfig]:
    """``full``, ``small``, and ``share`` where a width of one ratio everywhere has at most that."""
    from mtl.search.cost_table import CostTable

    space, table = model.space, CostTable(model, (size, size), tasks, True)
    widths = dict(full=space.full, small=space.small)
    most = share * table.of(space.full)['macs']
    decoders = options_of(space.decoder)
    for ratio in sorted(options_of(space.encoder), reverse=True):
        nearest = min(decoders, key=lambda other, ratio=ratio: abs(other - ratio))
        width = WidthConfig((ratio,) * space.stages, dict.fromkeys(tasks, nearest))
        if table.of(width)['macs'] <= most:
            return widths | {'share': width}
    return widths


@torch.no_grad()
def measure(networks: Mapping[str, MultiTaskModel], size: int, args: argparse.Namespace) -> dict:
    """Milliseconds (median, least, most), ratios, multiplications, operators and allocations of each network."""
    image = torch.randn(1, 3, size, size)
    times: dict[str, list[float]] = {f'{name} {form}': [] for name in networks for form in ('rest', 'again')}
    kept = {name: KeptProducts() for name in networks}
    for _ in range(2 + args.rounds):
        for name, network in networks.items():
            for form, context in (('rest', kept[name]), ('again', nullcontext())):
                with context:
                    times[f'{name} {form}'].append(seconds(lambda network=network: network(image), args))
    counted = {name: values[2:] for name, values in times.items()}
    medians = {name: statistics.median(values) for name, values in counted.items()}
    rows = {}
    for name, network in networks.items():
        with counted_macs() as macs:
            network(image)
        with kept[name], Dispatched() as dispatched:
            network(image)
        least, most = (1e3 * pick(counted[f'{name} rest']) for pick in (min, max))
        rows[name] = dict(
            milliseconds=[1e3 * medians[f'{name} rest'], least, most],
            milliseconds_again=1e3 * medians[f'{name} again'],
            time_ratio=medians[f'{name} rest'] / medians['full rest'],
            time_ratio_again=medians[f'{name} again'] / medians['full again'],
            gmacs=macs() / 1e9,
            operators=dispatched.operators,
            allocations=dispatched.allocations,
        )
    for row in rows.values():
        row['mac_ratio'] = row['gmacs'] / rows['full']['gmacs']
    return dict(networks=rows)


class Dispatched(TorchDispatchMode):
    """Counts what is dispatched below autograd.

    Attributes:
        operators: calls, views included.
        allocations: results in memory that no input had.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.allocations = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        known = _storages((args, kwargs))
        self.operators += 1
        self.allocations += len(_storages(result) - known)
        return result


def _storages(values: Any) -> set[int]:
    """Addresses of the memory of tensors; those in a layout of oneDNN have none that can be asked for."""
    tensors = (each for each in tree_leaves(values) if isinstance(each, Tensor) and not each.is_mkldnn)
    return {each.untyped_storage().data_ptr() for each in tensors}


def as_table(result: dict) -> str:
    """The result as lines of text."""
    lines = [f'{result["size"]} x {result["size"]}: median ms at rest (least to most) [again], ratios to full width']
    for name, row in result['networks'].items():
        median, least, most = row['milliseconds']
        lines.append(
            f'  {name:6s}{median:8.1f} ({least:.1f} to {most:.1f}) [{row["milliseconds_again"]:.1f}]'
            f'  time {row["time_ratio"]:.2f} [{row["time_ratio_again"]:.2f}], multiplications {row["mac_ratio"]:.2f}'
            f' ({row["gmacs"]:.2f} G), {row["operators"]} operators, {row["allocations"]} allocations'
        )
    if 'share' not in result['networks']:
        lines.append('  no width of one ratio everywhere takes the share of the multiplications that was asked for')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
