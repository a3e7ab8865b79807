"""Names in configs and checkpoints that were written before the models became one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtl.models.multi_task_model import MultiTaskModel
from mtl.registry import MODELS

ONE_WIDTH = dict(encoder=(1.0,), decoder=(1.0,), samples=0)


@MODELS.register_module()
class SlimmableMultiTaskModel(MultiTaskModel):
    """The former name of a :class:`MultiTaskModel` with ``slimming``.

    Its ``slimming=None`` meant one width, with units sorted all the same. Files of adapters only count on their order.
    """

    def __init__(self, slimming: Mapping | None = None, **kwargs: Any) -> None:
        super().__init__(slimming=ONE_WIDTH if slimming is None else slimming, **kwargs)

    @classmethod
    def for_prediction(cls, config: dict) -> tuple[dict, tuple[str, ...]]:
        """See the base class; in today's words."""
        slimming = ONE_WIDTH if config.get('slimming') is None else config['slimming']
        return {**config, 'type': 'MultiTaskModel', 'slimming': slimming}, ()
