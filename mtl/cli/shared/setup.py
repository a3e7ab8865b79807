"""What the tools about widths share: from a config and a checkpoint to a network whose widths can be evaluated."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmengine.config import Config
from mmengine.device import get_device
from torch import nn

from mtl.checkpoints import read_checkpoint
from mtl.checkpoints.restoring import MisfitError, build_for_checkpoint, restore_model
from mtl.cli.shared.configs import check_checkpoint, check_data, check_tasks, read_config
from mtl.cli.shared.running import UsageError
from mtl.evaluation import Baseline
from mtl.models.slimmable.width import WidthConfig
from mtl.registry import DATASETS
from mtl.search.budget import Costs
from mtl.search.cache import EvaluationCache
from mtl.search.calibration import Calibration, fingerprint
from mtl.search.cost_table import CostTable
from mtl.search.counting import CostError
from mtl.search.latency import LatencyError, LatencyTable
from mtl.search.objective import ReferenceResultError, reference_from
from mtl.search.width_search import WidthSearch


@dataclass
class Setup:
    """A trained slimmable network, images to evaluate it on, and what its widths cost.

    Args:
        config: of the run.
        model: in evaluation mode.
        tasks: those that run.
        calibration: evaluates widths.
        cache: the same, remembering.
        table: what widths of the tasks cost.
    """

    config: Config
    model: nn.Module
    tasks: tuple[str, ...]
    calibration: Calibration
    cache: EvaluationCache
    table: CostTable

    @classmethod
    def load(cls, args: argparse.Namespace) -> Setup:
        """From the options of a tool: ``config checkpoint tasks images shape latency merged out cfg_options``.

        Raises:
            UsageError: one of them is wrong.
        """
        config, model = slimmable_network(args.config, args.checkpoint, args.cfg_options)
        tasks = check_tasks(config, args.tasks)
        check_data(config, ['val_dataloader'])
        calibration = Calibration(config, model, tasks, args.images)
        size = args.shape or calibration.size
        try:
            latency = LatencyTable.load(args.latency) if args.latency else None
            table = CostTable(model, size, tasks, args.merged, latency)
        except (CostError, LatencyError) as error:
            raise UsageError(str(error)) from error
        args.out.mkdir(parents=True, exist_ok=True)
        cache = EvaluationCache(args.out, fingerprint(config, args.checkpoint, calibration), calibration.evaluate)
        return cls(config, model, tasks, calibration, cache, table)

    @property
    def full(self) -> WidthConfig:
        """Full width of the tasks that run."""
        return self.model.space.full.for_tasks(self.tasks)

    def costs(self, unit: str) -> Costs:
        """Costs in ``unit``.

        Raises:
            UsageError: milliseconds without a latency table, or with one of another network.
        """
        try:
            costs = Costs(unit, self.table)
            costs.of(self.full)
        except ValueError as error:
            raise UsageError(f'{error} See tools/analysis/measure_latency.py and --latency.') from error
        return costs

    def reference(self, path: str | None = None) -> Baseline:
        """A baseline file, or the results at full width.

        Raises:
            UsageError: no such file, or a result that nothing is relative to.
        """
        if path is None:
            return self.full_width_of(self.calibration, self.cache)
        try:
            baseline = Baseline.load(path)
        except (FileNotFoundError, ValueError) as error:
            raise UsageError(str(error)) from error
        missing = [task for task in self.tasks if task not in baseline.results]
        if missing:
            raise UsageError(f'{path} has no result of {", ".join(missing)}; it has {", ".join(baseline.results)}.')
        results = {task: baseline.results[task] for task in self.tasks}
        return Baseline(baseline.name, baseline.source, results)

    def full_width_of(self, images: Calibration, evaluate: Callable[[WidthConfig], Mapping[str, float]]) -> Baseline:
        """The results at full width on ``images``.

        Raises:
            UsageError: a result that nothing is relative to.
        """
        try:
            return reference_from(evaluate(self.full), images.headlines, self.model.tasks)
        except ReferenceResultError as error:
            raise UsageError(str(error)) from error

    def unseen(self, images: int) -> Calibration:
        """As many images that no search has seen, to measure what it found; those it saw where there are no others."""
        seen = self.calibration.positions
        others = len(DATASETS.build(self.config.val_dataloader.dataset)) - len(seen)
        if not others:
            return self.calibration
        return Calibration(self.config, self.model, self.tasks, images, others_than=seen)

    def search(self, preference: Mapping[str, float], costs: Costs, reference: Baseline) -> WidthSearch:
        """A search for ``preference``."""
        return WidthSearch(self.model.space, self.tasks, preference, costs, self.cache, reference)


def slimmable_network(config: str, checkpoint: str | None, options: Mapping | None = None) -> tuple[Config, nn.Module]:
    """Config and trained network, on the device there is; with random weights where there is no checkpoint.

    Raises:
        UsageError: a file that is missing or does not fit, or a network that does not slim.
    """
    loaded = read_config(config, options)
    if loaded.model.get('slimming') is None:
        raise UsageError(
            f'{config} builds a network that has one width only. Widths can be chosen of one that is trained for '
            'several (model.slimming): see configs/ecmt and docs/controllable.md.'
        )
    if checkpoint is None:
        return loaded, build_for_checkpoint(loaded).to(get_device())
    check_checkpoint(checkpoint)
    try:
        model = restore_model(read_checkpoint(checkpoint), loaded)
    except MisfitError as error:
        raise UsageError(f'{checkpoint} and {config} do not fit: {error}') from error
    return loaded, model.to(get_device())


def preferences(given: Sequence[str], tasks: Iterable[str]) -> dict[str, float]:
    """``{task: importance}`` from ``['semseg=3', ...]``; 1 for tasks that are not mentioned.

    Raises:
        UsageError: another form, a task that does not run, or an importance that is not above 0.
    """
    found = dict.fromkeys(tasks, 1.0)
    for text in given:
        task, _, value = text.partition('=')
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if task not in found or not 0 < number < float('inf'):
            raise UsageError(
                f'A preference is TASK=NUMBER, a task among {", ".join(found)} and a number above 0; found {text!r}.'
            )
        found[task] = number
    return found
