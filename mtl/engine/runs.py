"""What a finished run left in its folder, as the row of a table."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mtl.engine.publishing import build_for_checkpoint
from mtl.models.accounting import count_macs, count_parameters
from mtl.tasks import build_tasks


@dataclass(frozen=True)
class Run:
    """One run.

    Args:
        name: name of its folder.
        metrics: ``{'<task>/<metric>': value}`` of the last evaluation, headline metrics only, and ``delta_m``.
        parameters: see :func:`mtl.models.accounting.count_parameters`.
        macs: multiplications of one image of the training's size.
        seconds: median of the logged times of a training iteration; ``None`` if none was logged.
    """

    name: str
    metrics: dict[str, float]
    parameters: dict[str, int]
    macs: int
    seconds: float | None


def read_run(folder: str | Path) -> Run:
    """Read the JSON logs and the dumped config of a work dir.

    Raises:
        FileNotFoundError: the folder holds no log, or no config.
    """
    folder = Path(folder)
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    configs = sorted(folder.glob('*/vis_data/config.py'))
    if not logs or not configs:
        raise FileNotFoundError(
            f'{folder} is no work dir of a run: expected <time>/vis_data/scalars.json and config.py in it.'
        )
    config = Config.fromfile(configs[-1])
    model = build_for_checkpoint(config)
    height, width = image_size(config)
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if line.strip()]
    times = [line['time'] for line in lines if 'loss' in line and 'time' in line]
    return Run(
        name=folder.resolve().name,
        metrics=_headlines(lines, config),
        parameters=count_parameters(model),
        macs=count_macs(model, height, width),
        seconds=statistics.median(times) if times else None,
    )


def image_size(config: Config) -> tuple[int, int]:
    """``(H, W)`` that the backbone is built for."""
    size = config.model.backbone.get('img_size', (224, 224))
    return (size, size) if isinstance(size, int) else tuple(size)


def _headlines(lines: list[dict], config: Config) -> dict[str, float]:
    """Headline metrics of the last evaluation, under names without ``metric/``."""
    evaluations = [line for line in lines if any(key.startswith('metric/') for key in line)]
    if not evaluations:
        return {}
    found = {key.removeprefix('metric/'): value for key, value in evaluations[-1].items()}
    wanted = [f'{name}/{task.headline}' for name, task in build_tasks(config.model.tasks).items()]
    return {key: found[key] for key in (*wanted, 'delta_m') if key in found}
