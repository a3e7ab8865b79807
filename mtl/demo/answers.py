"""What the page shows for an image: maps, what they took, and files to take home."""

from __future__ import annotations

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
from mtl.visualization import draw_predictions


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
        panel: the image and one tile a task, RGB uint8.
        maps: ``{task: map}`` at the size of the image, see :class:`mtl.apis.MultiTaskInferencer`.
        pictures: ``{task: RGB uint8}``.
        milliseconds: that the network took, from pixels to logits.
        cost: of the network that ran.
        width: at which it ran, of a slimmable network.
    """

    panel: np.ndarray
    maps: dict[str, np.ndarray]
    pictures: dict[str, np.ndarray] = field(repr=False)
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
        self.slimmable = hasattr(self.model, 'space')
        self.size = tuple(self._batch(np.zeros((64, 64, 3), np.uint8))['inputs'][0].shape[-2:])
        self._cost = lru_cache(maxsize=256)(self._count)
        self._cost_table = lru_cache(maxsize=256)(lambda tasks: CostTable(self.model, self.size, tasks))
        self.answer(np.zeros((64, 64, 3), np.uint8))  # a first run takes longer than those that follow

    def range_of(self, tasks: Sequence[str] | None = None) -> tuple[int, int]:
        """Multiply-accumulate operations of the smallest and of the full width of a slimmable network."""
        tasks = select_tasks(self.tasks, tasks)
        space = self.model.space
        return tuple(self.cost(tasks, width.for_tasks(tasks)).macs for width in (space.small, space.full))

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
            preference: importance by task, for the budget; all alike by default.
            opacity: of maps that lie over the image.
        """
        tasks = select_tasks(self.tasks, tasks)
        width = None
        if self.slimmable:
            wanted = {task: 1.0 if preference is None else preference[task] for task in tasks}
            table = self._cost_table(tasks)
            width = quick_width(self.model.space, table, wanted, np.inf if budget is None else budget)
        with running_at(self.model, width), torch.no_grad():
            data = self.model.data_preprocessor(self._batch(image), False)
            start = time.perf_counter()
            logits = self.model.logits(data['inputs'], tasks)
            if data['inputs'].is_cuda:
                torch.cuda.synchronize()
            milliseconds = 1000 * (time.perf_counter() - start)
            (sample,) = self.model.add_predictions(data['data_samples'], logits)
        known = {name: self.inferencer.tasks[name] for name in tasks}
        maps = {name: as_numpy(sample.prediction(name)) for name in tasks}
        pictures = {name: task.overlay(image, maps[name], opacity) for name, task in known.items()}
        panel = draw_predictions(image, sample, known, opacity)
        return Answer(panel, maps, pictures, milliseconds, self.cost(tasks, width), width)

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
