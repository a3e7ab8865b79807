"""TaskExpert against the HRNet decoder, and all tasks stacked against one task after the other.

    python benchmarks/task_expert.py --out task_expert.json
    python benchmarks/task_expert.py --tasks 5 --threads 1 --clock cpu

Decoders alone, on the random pyramid of a Swin-T (strides 8 to 32): with a stream per task, as MTLoRA gives them, and
with the shared stream alone, as any other backbone. The runs to compare are interleaved, so that a busy machine slows
all of them; ratios are of medians. Peak memory is what a step allocates beyond what is there before it, by the
profiler's count of allocations.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from functools import partial
from pathlib import Path

import torch
from timing import seconds
from torch import nn
from torch.profiler import ProfilerActivity, profile

from mtl.models.decoders import HRNetDecoder, TaskExpertDecoder
from mtl.models.neck import neck
from mtl.structures import Level, PyramidFeatures

CHANNELS = (192, 384, 768, 768)
STRIDES = (8, 16, 32, 32)
FLAGSHIP = dict(channels=96, experts=5, expert_ratio=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', type=int, nargs='+', default=[4, 5], help='numbers of tasks')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--size', type=int, default=448, help='side of the square images, in pixels')
    parser.add_argument('--rounds', type=int, default=5, help='timed rounds, after one that is not counted')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    report = dict(
        machine=f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}, device {args.device}',
        settings={key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        results=[measure(number, own, args) for number in args.tasks for own in (True, False)],
    )
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


def pyramid(tasks: tuple[str, ...], own: bool, args: argparse.Namespace) -> PyramidFeatures:
    """Random features, with a stream for each task or the shared stream alone; they want gradients."""
    streams = ('shared', *tasks) if own else ('shared',)
    levels = []
    for channels, stride in zip(CHANNELS, STRIDES, strict=True):
        side = args.size // stride
        features = torch.randn(len(streams), args.batch, side, side, channels, device=args.device, requires_grad=True)
        levels.append(Level(features.permute(0, 1, 4, 2, 3), streams))
    return PyramidFeatures(tuple(levels), STRIDES)


def measure(number: int, own: bool, args: argparse.Namespace) -> dict:
    """Times in seconds (median, least, most), ratios to HRNet and to the loop over tasks, MiB; printed, too."""
    tasks = tuple(f'task_{index}' for index in range(number))
    features = pyramid(tasks, own, args)
    torch.manual_seed(0)
    hrnet = HRNetDecoder(CHANNELS, tasks).to(args.device)
    decoders = dict(
        task_expert=TaskExpertDecoder(CHANNELS, tasks, **FLAGSHIP).to(args.device),
        task_expert_shared=TaskExpertDecoder(CHANNELS, tasks, expert_input='shared', **FLAGSHIP).to(args.device),
    )

    def stacked(decoder: nn.Module) -> list[torch.Tensor]:
        return list(decoder(neck(features, decoder, tasks), tasks).maps.values())

    def looped(decoder: nn.Module) -> list[torch.Tensor]:
        return [decoder(neck(features, decoder, (task,)), (task,)).maps[task] for task in tasks]

    runs = {'hrnet': (hrnet, stacked)}
    for name, decoder in decoders.items():
        runs |= {name: (decoder, stacked), f'{name}_looped': (decoder, looped)}

    def forward(decoder, run):
        decoder.eval()
        with torch.no_grad():
            run(decoder)

    def step(decoder, run):
        decoder.train()
        decoder.zero_grad(set_to_none=True)
        sum(values.square().mean() for values in run(decoder)).backward()

    result = dict(tasks=number, own_streams=own)
    print(
        f'{number} tasks, {"a stream each" if own else "the shared stream"}: seconds (least to most), MiB at the peak'
    )
    for kind, function in dict(forward=forward, step=step).items():
        work = {name: partial(function, decoder, run) for name, (decoder, run) in runs.items()}
        times = {name: [] for name in runs}
        for _ in range(1 + args.rounds):
            for name in runs:
                times[name].append(seconds(work[name], args))
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        memory = {name: peak_mib(work[name], args) for name in runs}
        ratios = {f'{name} / hrnet': medians[name] / medians['hrnet'] for name in decoders}
        ratios |= {f'{name} looped / stacked': medians[f'{name}_looped'] / medians[name] for name in decoders}
        result[kind] = dict(
            seconds={name: [medians[name], min(values[1:]), max(values[1:])] for name, values in times.items()},
            peak_mib=memory,
            ratios=ratios,
        )
        for name, (median, least, most) in result[kind]['seconds'].items():
            print(f'  {kind:8s}{name:28s}{median:8.3f} ({least:.3f} to {most:.3f}) {memory[name]:8.0f}')
        print(''.join(f'  {kind:8s}{name:42s}{ratio:6.2f}\n' for name, ratio in ratios.items()), end='')
    return result


def peak_mib(work, args: argparse.Namespace) -> float:
    """The most that ``work`` holds at a time beyond what is there before."""
    if args.device.startswith('cuda'):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    held = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == '[memory]':
            held += event.nbytes()
            peak = max(peak, held)
    return peak / 2**20


if __name__ == '__main__':
    main()
