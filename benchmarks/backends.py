"""PyTorch against ONNX Runtime: the time of one image at several widths, as ratios measured in one process.

    OMP_NUM_THREADS=2 python benchmarks/backends.py --threads 2 --out backends.json
    python benchmarks/backends.py checkpoints/demo.safetensors --size 224 288 --widths 4 --tasks normals depth

The runs to compare are interleaved, so that a busy machine slows all of them; ratios are of medians, in brackets of the
least times. A run is from normalised pixels to the logits of all tasks. Every width has a graph of its own, which is
compared with the network before it is used; exporting is not part of the times.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from timing import seconds

from mtl.apis import MultiTaskInferencer
from mtl.apis.backends import BACKENDS, backend_named
from mtl.models.accounting import counted_macs
from mtl.models.slimmable import WidthConfig
from mtl.progress import report_progress
from mtl.search.measuring import widths_to_measure
from mtl.tasks import select_tasks

REFERENCE = 'pytorch'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', nargs='?', default='checkpoints/quickstart.safetensors', help='%(default)s')
    parser.add_argument('--backends', nargs='+', choices=BACKENDS, default=['onnxruntime'], help='besides pytorch')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='these tasks only')
    parser.add_argument('--size', type=int, nargs=2, default=[160, 160], metavar=('H', 'W'), help='(default: 160 160)')
    parser.add_argument('--batch', type=int, default=1, help='images at once (default: %(default)s)')
    parser.add_argument('--widths', type=int, default=10, help='how many of them (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=15, help='timed, after one that is not (default: %(default)s)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    args.device = 'cpu'
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    results = measure(args)
    print(as_table(results))
    if args.out:
        report = dict(
            machine=f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}',
            settings={key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
            widths=results,
        )
        args.out.write_text(json.dumps(report, indent=2) + '\n')


def measure(args: argparse.Namespace) -> list[dict]:
    """For each width its ratios, GMACs, seconds (median, least, most) by backend, and ratios to PyTorch."""
    inferencer = MultiTaskInferencer(args.checkpoint, device='cpu', show_progress=False)
    model, tasks = inferencer.model, select_tasks(inferencer.tasks, args.tasks)
    images = torch.randn(args.batch, 3, *args.size)
    widths: list[WidthConfig | None] = [None]
    if not model.space.single:
        widths = widths_to_measure(model.space, tasks, args.widths, args.seed)[: args.widths]
    names = [REFERENCE, *(name for name in args.backends if name != REFERENCE)]
    contenders = {name: [] for name in names}
    for name in names:
        kind = backend_named(name)
        kind.chosen_device('cpu')
        for width in report_progress(widths, len(widths), f'Preparing {name}'):
            backend = kind(model, inferencer.cfg)
            contenders[name].append(partial(backend.prepared(tuple(images.shape), tasks, width), images))
    times = interleaved(contenders, args)
    return [
        dict(
            width=None if width is None else width.to_dict(),
            gmacs=macs_of(contenders[REFERENCE][index]) / 1e9,
            seconds={
                name: [statistics.median(of[index]), min(of[index]), max(of[index])] for name, of in times.items()
            },
            ratios={
                name: [
                    statistics.median(of[index]) / statistics.median(times[REFERENCE][index]),
                    min(of[index]) / min(times[REFERENCE][index]),
                ]
                for name, of in times.items()
                if name != REFERENCE
            },
        )
        for index, width in enumerate(widths)
    ]


def interleaved(contenders: dict[str, list[Callable]], args: argparse.Namespace) -> dict[str, list[list[float]]]:
    """Seconds of each timed run, by backend and width."""
    times = {name: [[] for _ in runs] for name, runs in contenders.items()}
    for number in range(1 + args.rounds):
        for index in range(len(contenders[REFERENCE])):
            for name, runs in contenders.items():
                taken = seconds(runs[index], args)
                if number:
                    times[name][index].append(taken)
    return times


def macs_of(run: Callable[[], object]) -> int:
    """Multiplications of one run of PyTorch."""
    with counted_macs() as macs:
        run()
    return macs()


def as_table(results: list[dict]) -> str:
    """The results as lines of text."""
    names = list(results[0]['seconds'])
    lines = ['width (encoder | decoders), GMACs: median ms (least to most), ratio to pytorch (of the least)']
    for result in results:
        lines.append(f'  {_named(result["width"])}, {result["gmacs"]:.3f}')
        for name in names:
            median, least, most = (1e3 * value for value in result['seconds'][name])
            ratio = '{:.2f} ({:.2f})'.format(*result['ratios'][name]) if name in result['ratios'] else ''
            lines.append(f'    {name:12s} {median:8.1f} ({least:.1f} to {most:.1f})  {ratio}')
    for name in names[1:]:
        ratios = [result['ratios'][name][0] for result in results]
        lines.append(
            f'{name}: ratio {statistics.median(ratios):.2f} in the median, {min(ratios):.2f} to {max(ratios):.2f}'
        )
    return '\n'.join(lines)


def _named(width: dict | None) -> str:
    if width is None:
        return 'the only one'
    return ' '.join(map(str, width['encoder'])) + ' | ' + ' '.join(map(str, width['decoder'].values()))


if __name__ == '__main__':
    main()
