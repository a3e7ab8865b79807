"""Collect single-task results into a baseline file, from which delta_m is computed.

python tools/analysis/make_baseline.py configs/quickstart.py baseline.json \
    --name quickstart --results semseg=work_dirs/st_semseg normals=work_dirs/st_normals

Each result is a JSON file of metrics (`eval_predictions.py --out`), a work dir (its last scalars.json is searched for
the best evaluation), or such a scalars.json. Then: tools/test.py CONFIG CHECKPOINT --baseline baseline.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError
from mtl.evaluation import Baseline, BaselineResult, MultiTaskEvaluator


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='names tasks and how they are evaluated')
    parser.add_argument('out', type=Path, metavar='JSON')
    parser.add_argument('--name', required=True, help='what the tables call it')
    parser.add_argument('--results', nargs='+', required=True, metavar='TASK=PATH')
    parser.add_argument('--take', choices=['last', 'best'], default='last', help='which evaluation of a run counts')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    config = read_config(args.config)
    options = {key: value for key, value in config.test_evaluator.items() if key not in ('type', 'baseline')}
    metrics = {metric.task.name: metric for metric in MultiTaskEvaluator(**options).metrics}
    results, sources = {}, []
    for item in args.results:
        task, _, path = item.partition('=')
        if task not in metrics or not path:
            raise UsageError(f'{item!r} must be TASK=PATH with a task of the config: {", ".join(metrics)}.')
        metric = metrics[task]
        values = evaluations(Path(path), f'{task}/{metric.headline}')
        better = min if metric.task.lower_is_better else max
        value = values[-1] if args.take == 'last' else better(values)
        results[task] = BaselineResult(metric.headline, value, metric.task.lower_is_better, metric.variant)
        sources.append(f'{task} from {Path(path).name}')
    source = f'own runs ({args.take} evaluation): ' + ', '.join(sources)
    Baseline(args.name, source, results).save(args.out)
    print(f'{args.out}: ' + ', '.join(f'{task} {r.metric} {r.value:.3f}' for task, r in results.items()))


def evaluations(path: Path, key: str) -> list[float]:
    """All values of the metric ``key`` that ``path`` holds, oldest first.

    Raises:
        FileNotFoundError: no such file, or a work dir without logs.
        UsageError: the metric was never evaluated.
    """
    if path.is_dir():
        logs = sorted(path.glob('*/vis_data/scalars.json')) or sorted(path.glob('*/*.json'))
        if not logs:
            raise FileNotFoundError(f'{path} holds no <timestamp>/vis_data/scalars.json.')
        path = logs[-1]
    content = path.read_text().strip()
    try:
        rows = [json.loads(content)]
    except json.JSONDecodeError:  # one JSON object a line
        rows = [json.loads(line) for line in content.splitlines()]
    names = (key, f'metric/{key}')  # as evaluated, as logged
    values = [row[name] for row in rows for name in names if name in row]
    if not values:
        raise UsageError(f'{path} holds no value of {key}.')
    return values
