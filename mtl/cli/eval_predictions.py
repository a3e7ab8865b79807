"""Evaluate a folder of predictions against the labels of a config's test set.

python tools/analysis/eval_predictions.py predictions configs/quickstart.py

The folder is what `tools/test.py --out` writes, or another codebase's output in the same layout:
<folder>/<task>/<sample id>.png or .npy, see mtl/evaluation/prediction_files.py.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mmengine.config import Config, DictAction
from rich.console import Console
from rich.progress import track

from mtl.cli.shared.configs import read_config
from mtl.evaluation.prediction_files import read_prediction
from mtl.registry import DATASETS, EVALUATOR
from mtl.writing import write_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', type=Path, metavar='DIR')
    parser.add_argument('config')
    parser.add_argument('--baseline', help='single-task results (a JSON file or a known name) to compute delta_m from')
    parser.add_argument('--boundary', choices=['full', 'fast', 'off'], help='how to evaluate boundaries')
    parser.add_argument('--out', type=Path, metavar='JSON', help='write all metrics there')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    config = read_config(args.config, args.cfg_options)
    if args.baseline:
        config.test_evaluator.baseline = args.baseline
    if args.boundary:
        metrics = config.test_evaluator.metrics
        for name, task in config.tasks.items():
            if task.type == 'Boundary':
                metric = dict(cache='work_dirs/eval_boundary', **metrics.get(name, {}))
                metrics[name] = dict(metric, mode=args.boundary)
    metrics = evaluate(args.predictions, config)
    if args.out:
        write_text(args.out, json.dumps(metrics, indent=2) + '\n')


def evaluate(folder: Path, config: Config) -> dict[str, float]:
    """All metrics of the predictions in ``folder`` on the config's test set.

    A task without a folder is not evaluated; a task with one must have every image.

    Raises:
        FileNotFoundError: no task has a folder, or an image's prediction is missing.
    """
    evaluator = EVALUATOR.build(config.test_evaluator)
    dataset = DATASETS.build(config.test_dataloader.dataset)
    present = {name: task for name, task in evaluator.tasks.items() if (folder / name).is_dir()}
    if not present:
        raise FileNotFoundError(
            f'{folder} holds none of the folders {", ".join(evaluator.tasks)}: nothing to evaluate. Expected '
            f'{folder}/<task>/<sample id>.png or .npy.'
        )
    for index in track(range(len(dataset)), 'images', console=Console(stderr=True)):
        sample = dataset[index]['data_samples']
        for name, task in present.items():
            prediction = read_prediction(folder, name, task, sample.sample_id)
            if prediction is None:
                raise FileNotFoundError(f'{folder / name} has no .png or .npy for sample {sample.sample_id!r}.')
            sample.set_field(prediction, f'pred_{name}')
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))
