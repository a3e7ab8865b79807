"""A look at what the network sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.hooks import Hook

from mtl.engine.unwrapping import unwrapped
from mtl.files import read_picture
from mtl.registry import HOOKS
from mtl.structures import MultiTaskDataSample


@HOOKS.register_module()
class PanelHook(Hook):
    """Draw panels (image, label and prediction a task) of a few fixed samples at every evaluation.

    The samples are the first ones of batches spread evenly over the data set. The panels go to TensorBoard and to
    ``<out_dir>/<epoch>/<sample id>.png``.

    Args:
        count: panels an evaluation and process; ``None`` for one of every sample.
        out_dir: folder of the PNG files; ``<work_dir>/panels`` by default.
        show: open a window a panel as well.
        wait_time: seconds each window stays; 0 until a key is pressed.
    """

    priority = 'NORMAL'

    def __init__(
        self, count: int | None = 4, out_dir: str | None = None, show: bool = False, wait_time: float = 0.0
    ) -> None:
        self.count, self.out_dir, self.show, self.wait_time = count, out_dir, show, wait_time

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs: Sequence = ()) -> None:
        self._draw(runner, self._chosen(outputs, batch_idx, len(runner.val_dataloader)), training=True)

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs: Sequence = ()) -> None:
        self._draw(runner, self._chosen(outputs, batch_idx, len(runner.test_dataloader)), training=False)

    def _chosen(self, outputs: Sequence, batch_idx: int, batches: int) -> Sequence:
        if self.count is None:
            return outputs
        chosen = np.linspace(0, batches - 1, num=min(self.count, batches)).round().astype(int)
        return outputs[:1] if batch_idx in chosen else []

    def _draw(self, runner, samples: Sequence[MultiTaskDataSample], training: bool) -> None:
        model = unwrapped(runner.model)
        folder = Path(self.out_dir or Path(runner.work_dir, 'panels'))
        step = 0
        if training:
            unit = 'epoch' if runner.log_processor.by_epoch else 'iter'
            step = runner.message_hub.get_info(unit, -1) + 1
            folder = folder / f'{unit}_{step}'
        for sample in samples:
            runner.visualizer.add_datasample(
                f'panel/{sample.sample_id}',
                read_picture(Path(sample.img_path)),
                sample,
                model.tasks,
                out_file=folder / f'{sample.sample_id}.png',
                show=self.show,
                wait_time=self.wait_time,
                step=step,
            )
