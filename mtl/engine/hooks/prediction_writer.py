"""Predictions to files, for evaluation anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.hooks import Hook

from mtl.evaluation.prediction_files import write_predictions
from mtl.registry import HOOKS


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Write the predictions of a test run as :mod:`mtl.evaluation.prediction_files` documents.

    Args:
        out_dir: folder; one subfolder a task.
    """

    priority = 'NORMAL'

    def __init__(self, out_dir: str) -> None:
        self.out_dir = out_dir

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs: Sequence = ()) -> None:
        tasks = runner.test_evaluator.tasks
        for sample in outputs:
            write_predictions(sample, self.out_dir, tasks)
