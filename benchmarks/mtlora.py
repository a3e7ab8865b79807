"""MTLoRA against the bare backbone: time, memory and multiplications, as ratios measured in one process.

    OMP_NUM_THREADS=2 python benchmarks/mtlora.py --threads 2 --out mtlora.json
    python benchmarks/mtlora.py --device cuda --amp bf16 --batch 16 --compile

The runs to compare are interleaved, so that a busy machine slows all of them; ratios are of medians, in
brackets of the least times. Processor time (`--clock cpu`, all threads together) is less disturbed by neighbours than
wall time. `step` is without adapter dropout, `step_dropout` with the published one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import platform
import statistics
from pathlib import Path

import torch
from timing import seconds
from torch import nn

from mtl.models.accounting import counted_macs
from mtl.models.adapters import MTLoRALinear, merge_adapters, unmerge_adapters
from mtl.registry import MODELS
from mtl.structures import MultiTaskDataSample

BACKBONE = 'swin_tiny_patch4_window7_224'
TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes='pascal_voc'),
    human_parts=dict(type='PartSegmentation'),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
)
REFERENCE = dict(forward='bare_forward', merged_forward='bare_forward', step='bare_step', step_dropout='bare_step')
AMP = dict(bf16=torch.bfloat16, fp16=torch.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, nargs='+', default=[1, 2], help='batch sizes')
    parser.add_argument('--size', type=int, default=448, help='side of the square images, in pixels')
    parser.add_argument('--rounds', type=int, default=5, help='timed rounds, after one that is not counted')
    parser.add_argument('--dropout', type=float, default=0.05, help='adapter dropout of step_dropout')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall')
    parser.add_argument('--amp', choices=sorted(AMP), help='autocast to this type')
    parser.add_argument('--compile', action='store_true', help='torch.compile both networks')
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    model = build_model(args.size).to(args.device)
    bare = build_bare(args.size).to(args.device)
    report = dict(
        machine=f'{platform.machine()}, {args.threads} threads, torch {torch.__version__}, device {args.device}',
        settings={key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        batches=[],
    )
    for batch in args.batch:
        result = dict(batch=batch, **measure(model, bare, batch, args))
        report['batches'].append(result)
        print(as_table(result))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


def build_model(size: int, decoder: dict | None = None, drop_path_rate: float = 0.0, dropout: float = 0.0) -> nn.Module:
    """MTLoRA of rank 64 / 4 with the paper's trainable parts, from random weights; the paper's decoder by default."""
    config = dict(
        type='MultiTaskModel',
        tasks=TASKS,
        backbone=dict(
            type='SwinBackbone',
            model=BACKBONE,
            img_size=size,
            pretrained=None,
            allow_random_init=True,
            drop_path_rate=drop_path_rate,
            adapters=dict(rank=64, task_rank=4, dropout=dropout),
            trainable=('patch_embed', 'norms', 'relative_position_bias', 'reductions'),
        ),
        decoder=decoder or dict(type='HRNetDecoder'),
    )
    return MODELS.build(config)


def build_bare(size: int) -> nn.Module:
    """timm's backbone without classifier; patch embedding and norms train."""
    import timm

    bare = timm.create_model(BACKBONE, img_size=size, num_classes=0, drop_path_rate=0.0)
    bare.norm = bare.head = nn.Identity()
    for name, parameter in bare.named_parameters():
        parameter.requires_grad_('norm' in name or 'patch_embed' in name)
    return bare


def labels(batch: int, size: int, device: str) -> list[MultiTaskDataSample]:
    """A random label of every task for each sample."""
    samples = []
    for _ in range(batch):
        sample = MultiTaskDataSample(metainfo=dict(ori_shape=(size, size), img_shape=(size, size)))
        for task, classes in dict(semseg=21, human_parts=7, saliency=2).items():
            sample.set_field(torch.randint(classes, (size, size), dtype=torch.uint8, device=device), f'gt_{task}')
        sample.gt_normals = nn.functional.normalize(torch.randn(3, size, size, device=device), dim=0)
        samples.append(sample)
    return samples


def measure(model: nn.Module, bare: nn.Module, batch: int, args: argparse.Namespace) -> dict:
    """Times in seconds (median, least, most), ratios, MiB saved for backward and MACs, by name."""
    images = torch.randn(batch, 3, args.size, args.size, device=args.device)
    samples = labels(batch, args.size, args.device)
    run, run_bare = (torch.compile(net) if args.compile else net for net in (model, bare))

    def autocast():
        return torch.autocast(args.device, AMP[args.amp]) if args.amp else contextlib.nullcontext()

    @torch.no_grad()
    def forward(network):
        with autocast():
            network(images)

    def loss():
        with autocast():
            return sum(run(images, samples, mode='loss').values())

    def bare_loss():
        with autocast():
            return run_bare(images).float().sum()

    def step(network, objective):
        network.zero_grad(set_to_none=True)
        objective().backward()

    def train(dropout):
        unmerge_adapters(model)
        model.train()
        for layer in model.modules():
            if isinstance(layer, MTLoRALinear):
                layer.dropout.p = dropout

    contenders = dict(
        bare_forward=(lambda: bare.eval(), lambda: forward(run_bare)),
        forward=(lambda: (model.eval(), unmerge_adapters(model)), lambda: forward(run)),
        merged_forward=(lambda: merge_adapters(model), lambda: forward(run)),
        bare_step=(lambda: bare.train(), lambda: step(bare, bare_loss)),
        step=(lambda: train(0.0), lambda: step(model, loss)),
        step_dropout=(lambda: train(args.dropout), lambda: step(model, loss)),
    )
    times = {name: [] for name in contenders}
    for _ in range(1 + args.rounds):
        for name, (prepare, work) in contenders.items():
            prepare()
            times[name].append(seconds(work, args))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    bare.train()
    train(0.0)
    saved = {'step': saved_mib(loss, model), 'bare_step': saved_mib(bare_loss, bare)}
    model.eval()
    bare.eval()
    macs = {'bare_forward': count_macs(bare, images), 'forward': count_macs(model, images)}
    merge_adapters(model)
    macs['merged_forward'] = count_macs(model, images)
    unmerge_adapters(model)
    return dict(
        seconds={name: [medians[name], min(values[1:]), max(values[1:])] for name, values in times.items()},
        ratios={
            name: [medians[name] / medians[bare_name], min(times[name][1:]) / min(times[bare_name][1:])]
            for name, bare_name in REFERENCE.items()
        },
        saved_mib=saved,
        gmacs={name: value / 1e9 for name, value in macs.items()},
    )


def saved_mib(objective, network: nn.Module) -> float:
    """MiB of storage, each counted once, that autograd keeps for the backward pass besides the parameters."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            storages[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        objective()
    return sum(storage.nbytes() for storage in storages.values()) / 2**20


def count_macs(network: nn.Module, images: torch.Tensor) -> int:
    """Multiplications of a forward pass: those in matrix products, also of the attention."""
    with counted_macs() as macs:
        network(images)
    return macs()


def as_table(result: dict) -> str:
    """The result as lines of text."""
    lines = [f'batch {result["batch"]}: median seconds (least to most), ratio to the bare backbone (of the least)']
    for name, (median, least, most) in result['seconds'].items():
        ratio = '{:.2f} ({:.2f})'.format(*result['ratios'][name]) if name in result['ratios'] else ''
        lines.append(f'  {name:15s} {median:8.3f} ({least:.3f} to {most:.3f})  {ratio}')
    lines += [f'  saved by {name:15s} {value:8.0f} MiB' for name, value in result['saved_mib'].items()]
    lines += [f'  {name:24s} {value:8.1f} GMAC' for name, value in result['gmacs'].items()]
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
