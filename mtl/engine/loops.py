"""Loops that MMEngine lacks."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from mmengine.runner import ValLoop
from mmengine.runner.amp import autocast

from mtl.engine.unwrapping import unwrapped
from mtl.registry import LOOPS


@LOOPS.register_module()
class WidthValLoop(ValLoop):
    """Validation at several widths, one pass over the data for each; of a network of one width, the full one.

    The full width goes first: its results have the usual names, which the best checkpoint is chosen by, its
    predictions are drawn. All results are there as ``width/<name>/<task>/<metric>``, too, those of the full width as
    ``width/full/...``.

    Args:
        widths: further ones, ``{name: width}``; a width is ``'small'``, a JSON file, or in config form, see
            :meth:`mtl.models.slimmable.WidthSpace.named`. The smallest, as ``small``, by default.
        evaluator: config of a :class:`mtl.evaluation.MultiTaskEvaluator`.
        kwargs: see ``mmengine.runner.ValLoop``.
    """

    def __init__(self, runner, dataloader, evaluator: dict, widths: Mapping | None = None, **kwargs) -> None:
        widths = dict(small='small') if widths is None else widths
        space = unwrapped(runner.model).space
        named = {} if space.single else {name: space.named(width) for name, width in widths.items()}
        self.widths = {name: width for name, width in named.items() if width != space.full}
        self.evaluators = {
            name: runner.build_evaluator({**copy.deepcopy(evaluator), 'prefix': f'width/{name}'})
            for name in self.widths
        }
        super().__init__(runner, dataloader, evaluator, **kwargs)

    def run(self) -> dict:
        """Validate; metrics by name."""
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        size = len(self.dataloader.dataset)
        metrics = self.evaluator.evaluate(size)
        metrics |= {f'width/full/{name}': value for name, value in metrics.items()}
        for name, width in self.widths.items():
            with torch.no_grad(), unwrapped(self.runner.model).at_width(width):
                for batch in self.dataloader:
                    with autocast(enabled=self.fp16):
                        predictions = self.runner.model.val_step(batch)
                    self.evaluators[name].process(predictions, batch)
            metrics |= self.evaluators[name].evaluate(size)
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics
