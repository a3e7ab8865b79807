"""Draw what a network says of an image: one panel with all tasks.

    mtl predict photograph.jpg
    python tools/image_demo.py photograph.jpg work_dirs/quickstart/epoch_4.pth
    python tools/image_demo.py photographs/ published.pth --tasks semseg normals --out-dir drawn --save-pred
    python tools/image_demo.py street.mp4 published.pth --batch-size 4

The input is an image, several, a folder, a pattern in quotes, or a video. Panels are written to OUT_DIR/vis (of a
video, a video), with --save-pred the maps to OUT_DIR/pred. Broken images among several are reported and skipped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from mtl.apis import InputError, MultiTaskInferencer
from mtl.checkpoints import set_checkpoint_loading
from mtl.cli.shared.running import UsageError
from mtl.tasks import PALETTES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'inputs',
        nargs='+',
        metavar='IMG ... [CHECKPOINT]',
        help='images, folders, patterns or videos; last a checkpoint (.pth, .pt, .safetensors), of a run or published '
        '(default: the network that comes with the package)',
    )
    parser.add_argument('--tasks', nargs='+', metavar='TASK', help='these tasks only')
    parser.add_argument('--width', help='of a slimmable network: a ratio, full, small, or a JSON file')
    parser.add_argument('--out-dir', type=Path, default=Path('demo'), help='folder to write to (default: %(default)s)')
    parser.add_argument('--device', help='cpu, cuda, cuda:1 (default: a GPU where there is one)')
    parser.add_argument(
        '--opacity', type=float, default=0.6, help='of maps over the image, 0 to 1 (default: %(default)s)'
    )
    parser.add_argument('--maps', action='store_true', help='write a picture of each task, too')
    parser.add_argument('--save-pred', action='store_true', help='write the maps themselves, too')
    parser.add_argument('--palette', choices=PALETTES, help='other colours of the classes')
    parser.add_argument('--batch-size', type=int, default=1, help='images at once (default: %(default)s)')
    parser.add_argument('--show', action='store_true', help='show each panel in a window')
    parser.add_argument('--config', help='config, where the checkpoint holds none')
    parser.add_argument('--pretrained', help='file of the frozen base of a checkpoint that holds adapters only')
    parser.add_argument('--trust', action='store_true', help='read a checkpoint that holds more than weights, too')
    args = parser.parse_args()
    args.checkpoint = args.inputs.pop() if _is_checkpoint(args.inputs[-1]) else None
    if not args.inputs:
        parser.error('name at least one image, folder, pattern or video before the checkpoint.')
    if not 0 <= args.opacity <= 1:
        parser.error(f'--opacity is between 0 and 1; found {args.opacity:g}.')
    if args.batch_size < 1:
        parser.error(f'--batch-size is at least 1; found {args.batch_size}.')
    return args


def _is_checkpoint(name: str) -> bool:
    return name.endswith(('.pth', '.pt', '.ckpt', '.bin', '.safetensors')) or name.startswith(('http://', 'https://'))


def main() -> None:
    args = parse_args()
    set_checkpoint_loading(trust=args.trust)
    try:
        draw(args)
    except InputError as error:
        raise UsageError(str(error)) from error


def draw(args: argparse.Namespace) -> None:
    """Run the inferencer and say what was written."""
    inferencer = MultiTaskInferencer(
        args.checkpoint, args.config, args.device, palette=args.palette, pretrained=args.pretrained
    )
    inputs = args.inputs[0] if len(args.inputs) == 1 else args.inputs
    results = inferencer.stream(
        inputs,
        args.batch_size,
        tasks=args.tasks,
        width=args.width,
        opacity=args.opacity,
        show=args.show,
        img_out_dir=args.out_dir / 'vis',
        pred_out_dir=args.out_dir / 'pred' if args.save_pred else None,
        map_out_dir=args.out_dir / 'maps' if args.maps else None,
    )
    drawn, skipped, tasks, started = 0, [], (), time.perf_counter()
    for result in results:
        if result.fault:
            skipped.append(result.source)
        else:
            drawn, tasks = drawn + 1, tuple(result.predictions)
    seconds, device = (time.perf_counter() - started) / drawn, next(inferencer.model.parameters()).device
    if args.maps:
        print(f'Pictures of single tasks are in {args.out_dir / "maps"}.')
    if args.save_pred:
        print(f'The maps are in {args.out_dir / "pred"}.')
    if skipped:
        print(f'{len(skipped)} could not be read and were skipped: {", ".join(skipped)}')
    images = f'{drawn} image{"s" if drawn > 1 else ""}'
    where = args.out_dir / 'vis'
    print(
        f'{images} drawn, with {", ".join(tasks)}, in {where}. '
        f'{seconds * 1e3:.0f} ms per image, all in all, on {device}.'
    )
