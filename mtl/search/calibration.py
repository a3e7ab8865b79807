"""Results of many widths on a few images of the validation set."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mtl.models import MultiTaskModel
from mtl.models.slimmable.width import WidthConfig
from mtl.registry import DATASETS, EVALUATOR


class Calibration:
    """Images that every width is evaluated on; they are read and prepared once.

    Args:
        config: of a run: ``val_dataloader.dataset`` and ``val_evaluator`` are used.
        model: in evaluation mode.
        tasks: evaluate these.
        images: how many; spread evenly over the validation set, and all of it where it has no more.
        batch_size: images that run together.
        others_than: positions in the validation set that are not to be used.

    Attributes:
        headlines: ``{task: metric}``.
        positions: of the images in the validation set.
        ids: of the images.
    """

    def __init__(
        self,
        config: Config,
        model: MultiTaskModel,
        tasks: Sequence[str],
        images: int = 24,
        batch_size: int = 8,
        others_than: Collection[int] = (),
    ) -> None:
        self.model, self.tasks = model, tuple(tasks)
        dataset = DATASETS.build(config.val_dataloader.dataset)
        usable = [position for position in range(len(dataset)) if position not in set(others_than)]
        chosen = np.unique(np.linspace(0, len(usable) - 1, min(images, len(usable))).round().astype(int))
        self.positions = [usable[index] for index in chosen]
        samples = [dataset[position] for position in self.positions]
        self.ids = [str(sample['data_samples'].get('sample_id', '')) for sample in samples]
        parts = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]
        with torch.no_grad():
            self.batches = [model.data_preprocessor(pseudo_collate(part), False) for part in parts]
        options = {**copy.deepcopy(config.val_evaluator), 'table': False, 'baseline': None}
        self.evaluator = EVALUATOR.build(options)
        self.headlines = {m.task.name: m.headline for m in self.evaluator.metrics if m.task.name in self.tasks}

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def size(self) -> tuple[int, int]:
        """``(H, W)`` of the images as they enter the network."""
        return tuple(self.batches[0]['inputs'].shape[-2:])

    @torch.no_grad()
    def evaluate(self, width: WidthConfig) -> dict[str, float]:
        """``{'<task>/<metric>': value}`` of all metrics at ``width``."""
        with self.model.at_width(width):
            for batch in self.batches:
                predicted = self.model(**copy.copy(batch), mode='predict', tasks=self.tasks)
                self.evaluator.process(predicted)
        return {name: float(value) for name, value in self.evaluator.evaluate(len(self)).items()}


def fingerprint(config: Config, checkpoint: str | Path, calibration: Calibration) -> str:
    """What results depend on, as a short text: weights, network, images, how they are prepared and evaluated."""
    digest = hashlib.sha256()
    with open(checkpoint, 'rb') as file:
        while block := file.read(2**20):
            digest.update(block)
    parts = {
        'model': config.model,
        'dataset': config.val_dataloader.dataset,
        'evaluator': config.val_evaluator,
        'images': calibration.ids,
        'tasks': calibration.tasks,
    }
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]
