"""A training step of the TaskExpert decoder on features that are given, of this code and of another checkout.

    python benchmarks/decoder_step.py --clock cpu --threads 1
    python benchmarks/decoder_step.py --against ../mtl-before --other-decoder finest

The pyramid is as a small frozen backbone gives it for NYUD-v2 (levels of 30 x 40 x 40, 15 x 20 x 112 and 8 x 10 x 320
channels, labels at 240 x 320), with four tasks. Measured are `decoder`, decoder and backward pass for given gradients
of the maps, `heads`, the same with heads, upsampling and losses at full resolution, and `forward`, the decoder without
gradients. Each checkout runs in a process of its own, started once; the processes take turns, so that a busy machine
slows all of them. Ratios are of medians; the spread is that of the ratios of single rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from timing import seconds
from torch import nn

LEVELS = ((40, 30, 40), (112, 15, 20), (320, 8, 10))
LABELS = (240, 320)
CLASSES = dict(semseg=40, depth=1, normals=3, edge=1)
COMMON = dict(experts=5, expert_ratio=0.5, balance_weight=0.01)
DECODERS = dict(
    level=dict(COMMON, channels=80, resolution='level', entries='levels'),
    finest=dict(COMMON, channels=96),
)
WORKS = ('decoder', 'heads', 'forward')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--decoder', choices=sorted(DECODERS), default='level')
    parser.add_argument('--against', type=Path, help='root of another checkout')
    parser.add_argument('--other-decoder', choices=sorted(DECODERS), help='of the other checkout; the same by default')
    parser.add_argument('--own-streams', action='store_true', help='a stream for each task, not the shared one alone')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds, after one that is not counted')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    parser.add_argument('--answers', action='store_true', help=argparse.SUPPRESS)  # a process that is asked for times
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.answers:
        answer(args)
        return
    checkouts = {'this': (Path(__file__).resolve().parents[1], args.decoder)}
    if args.against:
        checkouts['other'] = (args.against.resolve(), args.other_decoder or args.decoder)
    processes = {name: start(args, *checkout) for name, checkout in checkouts.items()}
    times: dict[str, list[float]] = {f'{work}/{name}': [] for work in WORKS for name in processes}
    for _ in range(1 + args.rounds):
        for work in WORKS:
            for name, process in processes.items():
                print(work, file=process.stdin, flush=True)
                times[f'{work}/{name}'].append(float(process.stdout.readline()))
    for process in processes.values():
        process.communicate()
    report(times, args)


def start(args: argparse.Namespace, checkout: Path, decoder: str) -> subprocess.Popen:
    """A process of this script that imports the package of a checkout."""
    options = ['--answers', '--decoder', decoder, *(['--own-streams'] if args.own_streams else [])]
    options += [f'--{name}={getattr(args, name)}' for name in ('batch', 'device', 'threads', 'clock')]
    environment = {**os.environ, 'PYTHONPATH': str(checkout)}
    return subprocess.Popen(
        [sys.executable, __file__, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def answer(args: argparse.Namespace) -> None:
    """Reads names of works, a line each, and prints how many seconds they take."""
    torch.manual_seed(0)
    works = build(args)
    for line in sys.stdin:
        print(seconds(works[line.strip()], args), flush=True)


def build(args: argparse.Namespace) -> dict:
    """The works by name; imports what this checkout calls them, of any age."""
    from mtl.models.decoders import TaskExpertDecoder
    from mtl.tasks import build_tasks

    tasks = tuple(CLASSES)
    decoder = TaskExpertDecoder([channels for channels, *_ in LEVELS], tasks, **DECODERS[args.decoder]).train()
    heads = nn.ModuleDict({task: nn.Conv2d(decoder.out_channels[task], n, 1) for task, n in CLASSES.items()})
    modules = nn.ModuleList([decoder, heads]).to(args.device)
    features = pyramid(args)
    try:
        from mtl.models.neck import neck
    except ImportError:
        run = lambda: decoder(features, tasks)  # noqa: E731
    else:
        run = lambda: decoder(neck(features, decoder, tasks), tasks)  # noqa: E731
    losses = build_tasks(
        dict(
            semseg=dict(type='SemanticSegmentation', classes=[f'class {index}' for index in range(CLASSES['semseg'])]),
            depth=dict(type='Depth'),
            normals=dict(type='SurfaceNormals'),
            edge=dict(type='Boundary'),
        )
    )
    labels = targets(args)
    gradients = [torch.randn_like(values) for values in run().maps.values()]

    def decoder_step() -> None:
        modules.zero_grad(set_to_none=True)
        output = run()
        torch.autograd.backward([*output.maps.values(), sum(output.losses.values())], [*gradients, None])

    def heads_step() -> None:
        modules.zero_grad(set_to_none=True)
        output = run()
        total = sum(output.losses.values())
        for task, values in output.maps.items():
            logits = heads[task](values).contiguous()
            if hasattr(losses[task], 'upsampled_loss'):
                total = total + losses[task].upsampled_loss(logits, LABELS, labels[task])
            else:
                logits = F.interpolate(logits, size=LABELS, mode='bilinear', align_corners=False)
                total = total + losses[task].loss(logits, labels[task])
        total.backward()

    def forward() -> None:
        decoder.eval()
        with torch.no_grad():
            run()
        decoder.train()

    return dict(decoder=decoder_step, heads=heads_step, forward=forward)


def pyramid(args: argparse.Namespace):
    """Random features without gradients, as of a frozen backbone."""
    try:
        from mtl.structures import Level, PyramidFeatures
    except ImportError:
        from mtl.models.backbones import Level, PyramidFeatures
    names = ('shared', *CLASSES) if args.own_streams else ('shared',)
    levels = tuple(
        Level(torch.randn(len(names), args.batch, *size, n, device=args.device).permute(0, 1, 4, 2, 3), names)
        for n, *size in LEVELS
    )
    return PyramidFeatures(levels, (8, 16, 32))


def targets(args: argparse.Namespace) -> dict[str, torch.Tensor]:
    shape = (args.batch, *LABELS)
    normals = F.normalize(torch.randn(args.batch, 3, *LABELS), dim=1)
    labels = dict(
        semseg=torch.randint(0, CLASSES['semseg'], shape, dtype=torch.uint8),
        depth=torch.rand(shape) * 9 + 0.5,
        normals=normals,
        edge=torch.randint(0, 2, shape, dtype=torch.uint8),
    )
    return {task: label.to(args.device) for task, label in labels.items()}


def report(times: dict[str, list[float]], args: argparse.Namespace) -> None:
    """Prints medians of this code, and ratios of the other's to them."""
    counted = {name: values[1:] for name, values in times.items()}
    machine = f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}, device {args.device}'
    print(f'{machine}; batch {args.batch}, {args.rounds} rounds')
    ratios = {}
    for work in WORKS:
        mine = counted[f'{work}/this']
        text = f'  {work:8s} {statistics.median(mine):8.3f} s ({min(mine):.3f} to {max(mine):.3f})'
        if args.against:
            other = counted[f'{work}/other']
            of_rounds = [b / a for a, b in zip(mine, other, strict=True)]
            ratios[work] = [statistics.median(other) / statistics.median(mine), min(of_rounds), max(of_rounds)]
            median, least, most = ratios[work]
            text += f'   other {statistics.median(other):8.3f} s (from {min(other):.3f}), {median:.2f} times ({least:.2f} to {most:.2f})'
        print(text)
    if args.out:
        args.out.write_text(json.dumps(dict(machine=machine, seconds=counted, ratios=ratios), indent=2) + '\n')


if __name__ == '__main__':
    main()
