"""What every backend answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from mtl.structures import MultiTaskDataSample
from mtl.tasks import select_tasks

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import Tensor

    from mtl.models import MultiTaskModel
    from mtl.models.slimmable import WidthConfig

    # from normalised images [B, 3, H, W] to logits {task: [B, out_channels, H, W]}
    Run = Callable[[Tensor], dict[str, Tensor]]


class BaseBackend(ABC):
    """Computes the logits of a network.

    Several threads may share one.

    Args:
        model: in evaluation mode, on the device of :meth:`chosen_device`.
        config: its config.
        show_progress: say what takes seconds, and how many.

    Attributes:
        title: its name in sentences.
        preparation: seconds that :meth:`prepared` has taken so far for what is made once.
    """

    title: ClassVar[str]

    def __init__(self, model: MultiTaskModel, config: Config, show_progress: bool = False) -> None:
        self.model, self.config, self.show_progress = model, config, show_progress
        self.preparation = 0.0

    @classmethod
    @abstractmethod
    def chosen_device(cls, device: str | None = None) -> str:
        """The device that is used where ``device`` is asked for; ``None`` for the best there is.

        Raises:
            InputError: the device or a package is missing.
        """

    @abstractmethod
    def prepared(self, shape: Sequence[int], tasks: Sequence[str], width: WidthConfig | None = None) -> Run:
        """What computes the logits of images of one shape. All that is done once is done when this returns.

        Args:
            shape: ``(B, 3, H, W)`` of normalised images.
            tasks: those to compute.
            width: of a slimmable network; the full one by default.
        """

    def logits(
        self, inputs: Tensor, tasks: Sequence[str] | None = None, width: WidthConfig | None = None
    ) -> dict[str, Tensor]:
        """``{task: [B, out_channels, H, W]}`` for normalised images ``[B, 3, H, W]``; of all tasks by default."""
        tasks = select_tasks(self.model.tasks, tasks)
        return self.prepared(tuple(inputs.shape), tasks, width)(inputs)

    def predict(
        self,
        inputs: Tensor,
        data_samples: list[MultiTaskDataSample] | None = None,
        tasks: Sequence[str] | None = None,
        width: WidthConfig | None = None,
    ) -> list[MultiTaskDataSample]:
        """As :meth:`mtl.models.MultiTaskModel.predict`."""
        if data_samples is None:
            data_samples = [MultiTaskDataSample() for _ in inputs]
        return self.model.add_predictions(data_samples, self.logits(inputs, tasks, width))
