"""What the page shows for an image: maps, what they took, and files to take home."""

from __future__ import annotations

import statistics
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from mtl.apis import MultiTaskInferencer
from mtl.apis.inputs import Pictures
from mtl.apis.widths import running_at
from mtl.models.accounting import count_parameters, counted_macs, parameters_read
from mtl.models.slimmable import WidthConfig
from mtl.search.cost_table import CostTable
from mtl.search.quick import quick_width
from mtl.tasks import select_tasks
from mtl.tasks.base import as_numpy
from mtl.tasks.legends import Legend
from mtl.visualization import draw_predictions

RUNS, PATIENCE = 4, 1000  # at most so many runs give a time, none after so many milliseconds


@dataclass(frozen=True)
class Cost:
    """What a network of some tasks takes for one image.

    Args:
        macs: multiply-accumulate operations.
        parameters: that it reads.
    """

    macs: int
    parameters: int


@dataclass(frozen=True)
class Answer:
    """What became of one image.

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        panel: the image and one tile per task, RGB uint8.
        maps: ``{task: map}`` at the size of the image, see :class:`mtl.apis.MultiTaskInferencer`.
        pictures: ``{task: RGB uint8}``.
        legends: ``{task: what the colours of its picture mean}``.
        milliseconds: that the network took, from pixels to logits.
        cost: of the network that ran.
        width: at which it ran, of a slimmable network.
    """

    image: np.ndarray = field(repr=False)
    panel: np.ndarray = field(repr=False)
    maps: dict[str, np.ndarray] = field(repr=False)
    pictures: dict[str, np.ndarray] = field(repr=False)
    legends: dict[str, Legend | None] = field(repr=False)
    milliseconds: float = 0.0
    cost: Cost | None = None
    width: WidthConfig | None = None

    def save(self, path: str | Path) -> None:
        """A ZIP file: ``panel.png``, and ``<task>.png`` and ``<task>.npy`` of every task."""
        with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
            archive.writestr('panel.png', _png(self.panel))
            for task, values in self.maps.items():
                archive.writestr(f'{task}.png', _png(self.pictures[task]))
                with archive.open(f'{task}.npy', 'w') as file:
                    np.save(file, values)


class Answers:
    """Runs a network for the page, one image at a time.

    Args:
        inferencer: network with its preprocessing and tasks.
    """

    def __init__(self, inferencer: MultiTaskInferencer) -> None:
        self.inferencer, self.model = inferencer, inferencer.model
        self.tasks = tuple(inferencer.tasks)
        self.slimmable = not self.model.space.single
        self.size = tuple(self._batch(np.zeros((64, 64, 3), np.uint8))['inputs'][0].shape[-2:])
        self._cost = lru_cache(maxsize=256)(self._count)
        self._cost_table = lru_cache(maxsize=256)(lambda tasks: CostTable(self.model, self.size, tasks))
        self._times = lru_cache(maxsize=256)(self._measure)

    def range_of(
        self, tasks: Sequence[str] | None = None, preference: Mapping[str, float] | None = None
    ) -> tuple[int, int]:
        """The least and the most multiply-accumulate operations that a slimmable network can be made to use.

        Args:
            tasks: these only.
            preference: see :meth:`answer`. The most is that of the full width, unless some tasks matter less.
        """
        tasks = select_tasks(self.tasks, tasks)
        widths = self.model.space.small.for_tasks(tasks), self._width(tasks, None, preference)
        return tuple(self.cost(tasks, width).macs for width in widths)

    def times(self, tasks: Sequence[str] | None = None) -> dict[str, float]:
        """Milliseconds of one image of :attr:`size` on this device, by width: ``full``, and of some ``small``."""
        return self._times(select_tasks(self.tasks, tasks))

    def cost(self, tasks: Sequence[str] | None = None, width: WidthConfig | None = None) -> Cost:
        """Of one image of the size that the preprocessing gives; exact, and counted once."""
        tasks = select_tasks(self.tasks, tasks)
        if self.slimmable:
            of = self._cost_table(tasks).of(self.model.space.full.for_tasks(tasks) if width is None else width)
            return Cost(of['macs'], of['parameters'])
        return self._cost(tasks)

    def answer(
        self,
        image: np.ndarray,
        tasks: Sequence[str] | None = None,
        budget: float | None = None,
        preference: Mapping[str, float] | None = None,
        opacity: float = 0.6,
    ) -> Answer:
        """Run the network.

        Args:
            image: RGB uint8 ``[H, W, 3]``.
            tasks: these only.
            budget: of a slimmable network, multiply-accumulate operations; the full width without.
            preference: importance by task, for the budget; all alike by default, and where all are 0.
            opacity: of maps that lie over the image.
        """
        tasks = select_tasks(self.tasks, tasks)
        width = self._width(tasks, budget, preference) if self.slimmable else None
        with running_at(self.model, width), torch.no_grad():
            data = self.model.data_preprocessor(self._batch(image), False)
            logits, milliseconds = self._timed(data['inputs'], tasks)
            (sample,) = self.model.add_predictions(data['data_samples'], logits)
        known = {name: self.inferencer.tasks[name] for name in tasks}
        maps = {name: as_numpy(sample.prediction(name)) for name in tasks}
        pictures = {name: task.overlay(image, maps[name], opacity) for name, task in known.items()}
        legends = {name: task.legend(maps[name]) for name, task in known.items()}
        panel = draw_predictions(image, sample, known, opacity)
        return Answer(image, panel, maps, pictures, legends, milliseconds, self.cost(tasks, width), width)

    def _width(
        self, tasks: tuple[str, ...], budget: float | None, preference: Mapping[str, float] | None
    ) -> WidthConfig:
        wanted = {task: 1.0 if preference is None else preference[task] for task in tasks}
        if not any(wanted.values()):
            wanted = dict.fromkeys(tasks, 1.0)
        return quick_width(self.model.space, self._cost_table(tasks), wanted, np.inf if budget is None else budget)

    def _timed(self, inputs: torch.Tensor, tasks: tuple[str, ...]) -> tuple[dict[str, torch.Tensor], float]:
        """Logits, and the median milliseconds of a few runs; not of the first, which takes longer at a new size."""
        taken: list[float] = []
        while len(taken) < RUNS and sum(taken) < PATIENCE:
            start = time.perf_counter()
            logits = self.model.logits(inputs, tasks)
            if inputs.is_cuda:
                torch.cuda.synchronize()
            taken.append(1000 * (time.perf_counter() - start))
        return logits, statistics.median(taken[1:] or taken)

    def _measure(self, tasks: tuple[str, ...]) -> dict[str, float]:
        widths = {'full': None}
        if self.slimmable:
            space = self.model.space
            widths = {'full': space.full.for_tasks(tasks), 'small': space.small.for_tasks(tasks)}
        inputs = torch.zeros(1, 3, *self.size).to(next(self.model.parameters()))
        measured = {}
        for name, width in widths.items():
            with running_at(self.model, width), torch.no_grad():
                measured[name] = self._timed(inputs, tasks)[1]
        return measured

    def _batch(self, image: np.ndarray) -> dict:
        return self.inferencer.packed(list(Pictures(image, 'rgb')))

    def _count(self, tasks: tuple[str, ...]) -> Cost:
        everything = self.model.active_tasks
        parameter = next(self.model.parameters())
        with running_at(self.model, None):
            self.model.active_tasks = tasks
            try:
                with counted_macs() as macs:
                    self.model.logits(torch.zeros(1, 3, *self.size).to(parameter))
                parameters = count_parameters(self.model, parameters_read(self.model))['total']
            finally:
                self.model.active_tasks = everything
        return Cost(macs(), parameters)


def _png(picture: np.ndarray) -> bytes:
    return cv2.imencode('.png', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
