"""The flagship against the bare backbone, and its decoder's forms against each other, as ratios of one process.

    OMP_NUM_THREADS=2 python benchmarks/flagship.py --threads 2 --out flagship.json
    python benchmarks/flagship.py --device cuda --batch 16

Networks: Swin-T with MTLoRA (rank 64 / 4) and four tasks, with the TaskExpert decoder as the flagship has it
(`level`: each level at its own resolution), as it was before (`finest`), and with HRNet decoders (`hrnet`). Of each:
`forward` with merged adapters; `decoder`, neck and decoder alone on a pyramid that is given; `step` without dropout and
`published`, a step with adapter dropout 0.05 and stochastic depth 0.2. The runs are interleaved, so that a busy machine
slows all of them. Ratios are of medians, to the forward pass or the step of timm's bare backbone; the spread is that of
the ratios of single rounds.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import statistics
from pathlib import Path

import torch
from mtlora import TASKS, build_bare, build_model, labels
from timing import seconds
from torch import nn

from mtl.models.adapters import merge_adapters
from mtl.models.neck import neck

TASK_EXPERT = dict(type='TaskExpertDecoder', channels=96, experts=5, expert_ratio=0.5, balance_weight=0.01)
DECODERS = dict(
    level={**TASK_EXPERT, 'channels': 80, 'resolution': 'level', 'entries': 'levels'},
    finest=TASK_EXPERT,
    hrnet=dict(type='HRNetDecoder'),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--size', type=int, default=448, help='side of the square images, in pixels')
    parser.add_argument('--rounds', type=int, default=9, help='timed rounds, after one that is not counted')
    parser.add_argument('--decoders', nargs='+', choices=sorted(DECODERS), default=list(DECODERS))
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    times = measure(args)
    machine = f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}, device {args.device}'
    report = dict(machine=machine, batch=args.batch, size=args.size, rounds=args.rounds, ratios=ratios(times))
    print(f'{machine}; batch {args.batch}, {args.size} x {args.size}, {args.rounds} rounds')
    for name, (median, least, most) in report['ratios'].items():
        print(f'  {name:24s} {statistics.median(times[name]):8.3f} s   {median:5.2f} ({least:.2f} to {most:.2f})')
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


def measure(args: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds of every round, by name."""
    images = torch.randn(args.batch, 3, args.size, args.size, device=args.device)
    samples = labels(args.batch, args.size, args.device)
    bare = build_bare(args.size).to(args.device)
    runs = {
        'bare/forward': lambda: no_grad(bare.eval(), images),
        'bare/step': lambda: step(bare.train(), lambda: bare(images).sum()),
    }
    for name in args.decoders:
        model = build_model(args.size, DECODERS[name]).to(args.device)
        published = build_model(args.size, DECODERS[name], drop_path_rate=0.2, dropout=0.05).to(args.device)
        merged = copy.deepcopy(model).eval()
        merge_adapters(merged)
        with torch.no_grad():
            pyramid = merged.extract(images, tuple(TASKS))

        def decode(merged=merged, pyramid=pyramid):
            with torch.no_grad():
                return merged.decoder(neck(pyramid, merged.decoder, tuple(TASKS)), tuple(TASKS))

        runs |= {
            f'{name}/forward': lambda merged=merged: no_grad(merged, images),
            f'{name}/decoder': decode,
            f'{name}/step': lambda model=model: step(model.train(), lambda: loss(model, images, samples)),
            f'{name}/published': lambda model=published: step(model.train(), lambda: loss(model, images, samples)),
        }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + args.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, args))
    return {name: values[1:] for name, values in times.items()}


@torch.no_grad()
def no_grad(network: nn.Module, images: torch.Tensor) -> None:
    network(images)


def loss(model: nn.Module, images: torch.Tensor, samples: list) -> torch.Tensor:
    return sum(model(images, samples, mode='loss').values())


def step(network: nn.Module, objective) -> None:
    network.zero_grad(set_to_none=True)
    objective().backward()


def ratios(times: dict[str, list[float]]) -> dict[str, list[float]]:
    """``{name: [ratio of medians, least and largest ratio of a round]}`` to the bare backbone."""
    result = {}
    for name, values in times.items():
        kind = name.partition('/')[2]
        reference = times['bare/forward' if kind in ('forward', 'decoder') else 'bare/step']
        of_rounds = [value / other for value, other in zip(values, reference, strict=True)]
        result[name] = [statistics.median(values) / statistics.median(reference), min(of_rounds), max(of_rounds)]
    return result


if __name__ == '__main__':
    main()
