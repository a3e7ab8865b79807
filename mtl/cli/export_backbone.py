"""Take the backbone out of a training checkpoint, as pretrained weights for other runs.

    python tools/misc/export_backbone.py work_dirs/pretrain_micro_miniscenes/epoch_8.pth backbone.safetensors --half

The file has timm's names; configs read it with `model.backbone.pretrained=FILE`. For backbones without adapters, i.e.
trained whole.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

from mtl.checkpoints import load_weights_only
from mtl.checkpoints.swin_keys import to_timm_names
from mtl.cli.shared.running import UsageError


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of a run')
    parser.add_argument('output', type=Path, help='safetensors file to write')
    parser.add_argument('--half', action='store_true', help='store 16-bit floats')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    state = load_weights_only(args.checkpoint, map_location='cpu')['state_dict']
    backbone = to_timm_names(state).state
    adapted = [key for key in backbone if key.split('.')[-1] in ('A', 'B')]
    if adapted:
        raise UsageError(f'The backbone in {args.checkpoint} is not bare: it has adapters, e.g. {adapted[0]}.')
    dtype = torch.float16 if args.half else torch.float32
    save_file({key: value.to(dtype).contiguous() for key, value in backbone.items()}, args.output)
    print(f'{args.output}: {len(backbone)} tensors, {args.output.stat().st_size / 2**20:.1f} MiB')
