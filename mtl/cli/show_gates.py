"""Draw the gates of a mixture of experts: how much each task takes of each expert and of its memory, pixel by pixel.

    python tools/analysis/show_gates.py CONFIG CHECKPOINT IMAGE gates.png

One block per level, with one row per task and one column per expert. The last column is the memory, if there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from mtl.apis import InputError, MultiTaskInferencer
from mtl.apis.inputs import IMAGES, Pictures
from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.running import UsageError
from mtl.tasks import select_tasks
from mtl.visualization import draw_gates, gate_maps
from mtl.writing import write_picture


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of the run')
    parser.add_argument('checkpoint', help='checkpoint of the run')
    parser.add_argument('image', help='image file')
    parser.add_argument('out', type=Path, help='picture to write')
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='these tasks only')
    parser.add_argument('--height', type=int, default=72, help='of one gate, in pixels (default: %(default)s)')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out.suffix.lower() not in IMAGES:
        raise UsageError(f'{args.out} does not name a picture: it must end in .png or .jpg.')
    set_checkpoint_loading(trust=args.trust)
    try:
        panel = draw(args)
    except (InputError, ValueError) as error:
        raise UsageError(str(error)) from error
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_picture(args.out, panel[..., ::-1])
    print(f'Wrote {args.out}.')


@torch.no_grad()
def draw(args: argparse.Namespace):
    """The picture of the gates, RGB."""
    inferencer = MultiTaskInferencer(args.checkpoint, args.config)
    model, tasks = inferencer.model, select_tasks(inferencer.tasks, args.tasks)
    pictures = Pictures(args.image)
    picture = next(iter(pictures))
    if not pictures.single or picture.fault:
        raise InputError(picture.fault or f'{args.image} is not one image.')
    batch = model.data_preprocessor(inferencer.packed([picture]), False)
    gates = gate_maps(model.decode(batch['inputs'], tasks))
    height, width = picture.image.shape[:2]
    gates = torch.nn.functional.interpolate(  # the network may have seen the image squeezed
        gates.flatten(0, 2)[None], size=(args.height, max(1, round(args.height * width / height))), mode='nearest'
    )[0].unflatten(0, gates.shape[:3])
    return draw_gates(gates, tasks, memory=model.decoder.memory is not None, height=args.height)
