"""What a finished run left in its folder, as the row of a table."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mtl.checkpoints.config_text import read_config_text
from mtl.checkpoints.restoring import build_for_checkpoint, image_size
from mtl.cli.shared.logs import Log, read_log
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
    configs = sorted(folder.glob('*/vis_data/config.py'))
    if not configs:
        raise FileNotFoundError(f'{folder} is not the work dir of a run: expected <time>/vis_data/config.py in it.')
    log = read_log(folder)
    config = read_config_text(configs[-1].read_text())  # a work dir may come from anybody
    model = build_for_checkpoint(config)
    height, width = image_size(config)
    times = log.values('time').values()
    return Run(
        name=folder.resolve().name,
        metrics=_headlines(log, config),
        parameters=count_parameters(model),
        macs=count_macs(model, height, width),
        seconds=statistics.median(times) if times else None,
    )


def _headlines(log: Log, config: Config) -> dict[str, float]:
    """Headline metrics of the last evaluation, under names without ``metric/``."""
    metrics = {key: log.evaluations[key] for key in log.matching(['metric/*'])}
    last = max((step for values in metrics.values() for step in values), default=None)
    found = {key.removeprefix('metric/'): values[last] for key, values in metrics.items() if last in values}
    wanted = [f'{name}/{task.headline}' for name, task in build_tasks(config.model.tasks).items()]
    return {key: found[key] for key in (*wanted, 'delta_m') if key in found}
