"""Draw what the network really sees of a data set: images and labels after the pipeline, missing labels as such.

python tools/analysis/browse_dataset.py configs/quickstart.py
python tools/analysis/browse_dataset.py configs/mtlora_swin_pascal.py --split val --count 8 --out-dir browsed

Writes a panel per image, and prints which labels each has.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from mmengine.config import DictAction

from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError
from mtl.progress import report_progress
from mtl.registry import DATASETS
from mtl.tasks import build_tasks
from mtl.visualization import MultiTaskVisualizer, draw_labels
from mtl.writing import write_picture


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='(default: %(default)s)')
    parser.add_argument('--count', type=int, default=16, help='images, spread over the data set (default: %(default)s)')
    parser.add_argument('--out-dir', type=Path, default=Path('browsed'), help='folder (default: %(default)s)')
    parser.add_argument('--opacity', type=float, default=0.6, help='of labels over the image (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the augmentation (default: %(default)s)')
    parser.add_argument('--show', action='store_true', help='show each panel in a window')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    args = parser.parse_args()
    if args.count < 1:
        parser.error(f'--count is at least 1; found {args.count}.')
    return args


def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    try:
        dataset = DATASETS.build(config[f'{args.split}_dataloader'].dataset)
    except FileNotFoundError as error:
        raise UsageError(str(error)) from error
    tasks = build_tasks(config.tasks)
    np.random.seed(args.seed)
    chosen = np.linspace(0, len(dataset) - 1, num=min(args.count, len(dataset))).round().astype(int)
    lines = [draw(dataset[int(i)], tasks, args) for i in report_progress(chosen, len(chosen), 'panels')]
    print(*lines, sep='\n')
    print(f'{len(lines)} of {len(dataset)} images of the split {args.split}, in {args.out_dir}.')


def draw(packed: dict, tasks: dict, args: argparse.Namespace) -> str:
    """Write a panel, and say which labels there are."""
    sample = packed['data_samples']
    image = packed['inputs'].numpy().transpose(1, 2, 0)[..., ::-1]  # BGR before the data preprocessor
    panel = draw_labels(np.ascontiguousarray(image), sample, tasks, args.opacity)
    path = args.out_dir / f'{sample.sample_id}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, panel[..., ::-1])
    if args.show:
        MultiTaskVisualizer.get_instance('browse').show(panel, win_name=str(sample.sample_id))
    there = [name for name, task in tasks.items() if sample.has_label(name) and task.valid(sample.label(name)).any()]
    missing = [name for name in tasks if name not in there]
    absent = f'; no label for {", ".join(missing)}' if missing else ''
    return f'{sample.sample_id} ({image.shape[0]} x {image.shape[1]}): {", ".join(there) or "nothing"}{absent}'
