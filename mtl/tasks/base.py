"""The contract every task fulfils."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from mtl.files import class_ids
from mtl.registry import TASKS
from mtl.structures import Affine
from mtl.tasks.legends import Legend


class Task(ABC):
    """Everything the framework knows about a task.

    Labels exist in two forms. On disk's side of the data preprocessor they are numpy arrays, ``[H, W]`` or
    ``[H, W, C]``; from the packing on they are tensors, ``[H, W]`` or ``[C, H, W]``. Both carry ``ignore_value``
    where nothing is known; :meth:`valid` says where something is.

    Args:
        loss_weight: weight of the task's loss in the sum; ``None`` takes the class's default.

    Attributes:
        name: key of the task in configs, samples and logs (set by :func:`build_tasks`).
        out_channels: channels of the logits.
        headline: name of the metric that stands for the task.
        lower_is_better: direction of the headline metric.
        unit: unit of the headline metric, for tables.
        ignore_value: label value of unknown pixels (each channel, for vectors).
        source: name of the label of a data set that the task's own is derived from by :meth:`from_label`; ``None``
            where a data set has a label of the task's name.
    """

    name: str = ''
    default_loss_weight: float = 1.0
    out_channels: int
    headline: str
    lower_is_better: bool = False
    unit: str = ''
    ignore_value: float = 255
    source: str | None = None

    def __init__(self, loss_weight: float | None = None) -> None:
        self.loss_weight = self.default_loss_weight if loss_weight is None else float(loss_weight)
        if not 0 <= self.loss_weight < float('inf'):
            raise ValueError(f'loss_weight of a {type(self).__name__} is 0 or more; found {loss_weight}.')

    # ---- learning -----------------------------------------------------------------------------------------------

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Unweighted loss, a scalar connected to ``logits`` even if no pixel is valid or the batch is empty (0 then).

        Args:
            logits: ``[B, out_channels, H, W]``.
            target: ``[B, H, W]`` or ``[B, C, H, W]``, the labels of the samples that have one.
        """

    @abstractmethod
    def predict(self, logits: Tensor) -> Tensor:
        """The map a user gets, ``[B, H, W]`` or ``[B, C, H, W]``, from logits ``[B, out_channels, H, W]``."""

    # ---- geometry -----------------------------------------------------------------------------------------------

    def transform_target(self, target: np.ndarray, affine: Affine) -> np.ndarray:
        """Move a label with its image.

        Nearest neighbour, so that no value is invented; what the move brings in from outside the image is unknown.
        """
        height, width = affine.size
        channels = target.shape[2] if target.ndim == 3 else 1
        return cv2.warpAffine(
            target,
            np.asarray(affine.matrix, dtype=np.float64),
            (width, height),
            flags=cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(float(self.ignore_value),) * channels,
        )

    def unflip_logits(self, logits: Tensor) -> Tensor:
        """Turn the logits of a horizontally flipped image into logits of the image (test-time augmentation)."""
        return logits.flip(-1)

    # ---- labels -------------------------------------------------------------------------------------------------

    def from_stored(self, values: np.ndarray) -> np.ndarray:
        """The label in numpy form, from the numbers of a file, see :func:`mtl.files.read_map`.

        By default class ids.

        Raises:
            ValueError: they cannot be meant as this task's label.
        """
        return class_ids(values)

    def from_label(self, label: np.ndarray) -> np.ndarray:
        """The task's label in numpy form, from the label :attr:`source` of a data set; as it is by default."""
        return label

    def valid(self, target: Tensor) -> Tensor:
        """Boolean ``[..., H, W]``: where the label (``[..., H, W]`` or ``[..., C, H, W]``) is known."""
        return target != self.ignore_value

    def no_labels(self, logits: Tensor) -> Tensor:
        """A batch of no label, ``[0, H, W]`` (``[0, C, H, W]`` for vectors), for logits ``[B, out_channels, H, W]``."""
        return logits.new_zeros((0, *logits.shape[2:]))

    def fault(self, target: np.ndarray) -> str | None:
        """What is wrong with the values of a label in numpy form, as a clause; ``None`` where nothing is."""
        return None

    @abstractmethod
    def draw(self, values: Tensor | np.ndarray) -> np.ndarray:
        """Picture of a label or of a prediction in tensor form, as RGB uint8 ``[H, W, 3]``. Unknown is black."""

    def overlay(self, image: np.ndarray, values: Tensor | np.ndarray, opacity: float) -> np.ndarray:
        """Picture of ``values`` on top of their image, RGB uint8 ``[H, W, 3]``.

        By default :meth:`draw` alone: where a colour stands for a number, mixing it with a photograph changes the
        number. Tasks whose picture stays readable on a photograph override it.

        Args:
            image: RGB uint8 ``[H, W, 3]``, of the size of ``values``.
            values: a label or a prediction in tensor form.
            opacity: 0 shows the image, 1 the picture.
        """
        return self.draw(values)

    def legend(self, values: Tensor | np.ndarray) -> Legend | None:
        """What the colours of ``values`` mean; ``None`` where there is nothing to say."""
        return None

    # ---- evaluation ---------------------------------------------------------------------------------------------

    @abstractmethod
    def metric(self) -> dict:
        """Config of the metric (see :mod:`mtl.evaluation`) that yields :attr:`headline` for this task."""

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name={self.name!r}, out_channels={self.out_channels})'


def as_numpy(values: Tensor | np.ndarray) -> np.ndarray:
    """A label or prediction as a numpy array on the host."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def blend(below: np.ndarray, above: np.ndarray, weight: np.ndarray | float) -> np.ndarray:
    """``(1 - weight) * below + weight * above`` of RGB uint8 pictures ``[H, W, 3]``; ``weight`` one or ``[H, W]``."""
    weight = np.asarray(weight, np.float32)[..., None]
    return (below * (1 - weight) + above * weight).round().clip(0, 255).astype(np.uint8)


def class_fault(target: np.ndarray, classes: int, ignore_value: float) -> str | None:
    """:meth:`Task.fault` of class ids ``[H, W]``."""
    if target.ndim != 2 or target.dtype != np.uint8:
        return f'must be [H, W] uint8; found {list(target.shape)} {target.dtype}'
    wrong = target[(target >= classes) & (target != ignore_value)]
    if not wrong.size:
        return None
    return f'must hold 0 to {classes - 1} or {ignore_value:.0f}; found {", ".join(map(str, np.unique(wrong)[:8]))}'


def build_tasks(tasks: Mapping[str, dict | Task]) -> dict[str, Task]:
    """Build tasks from ``{name: config}``; built tasks pass through.

    Raises:
        ValueError: no task, or a task type that does not exist.
    """
    if not tasks:
        raise ValueError('At least one task is needed, e.g. tasks=dict(semseg=dict(type="SemanticSegmentation", ...)).')
    built = {}
    for name, task in tasks.items():
        if not isinstance(task, Task):
            task = dict(task)
            kind = task.get('type')
            if isinstance(kind, str) and TASKS.get(kind) is None:
                known = ', '.join(sorted(TASKS.module_dict))
                raise ValueError(f'Task {name!r} has the unknown type {kind!r}. Known task types: {known}.')
            task = TASKS.build(task)
            task.name = name
        built[name] = task
    return built


def select_tasks(known: Iterable[str], wanted: Iterable[str] | None) -> tuple[str, ...]:
    """The names in ``wanted``, in the order of ``known``; all of them for ``None``.

    Raises:
        ValueError: a name that is not known, or none at all.
    """
    known = tuple(known)
    if wanted is None:
        return known
    wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        found = ', '.join(repr(name) for name in unknown) or 'an empty list'
        raise ValueError(f'The tasks to run must be among {", ".join(known)}; found {found}.')
    return tuple(name for name in known if name in wanted)
