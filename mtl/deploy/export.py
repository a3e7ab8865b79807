"""From a network to a file that is known to give its numbers."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config
from torch import nn

from mtl.deploy.description import describe
from mtl.deploy.formats import FORMATS
from mtl.deploy.graph import Logits, capture
from mtl.deploy.parity import Difference, check, differences, inputs_for
from mtl.models.adapters import fold_adapters
from mtl.models.slimmable import WidthConfig
from mtl.models.slimmable.materialize import materialize
from mtl.registry import MODELS


@dataclass(frozen=True)
class Exported:
    """What :func:`export` did.

    Args:
        differences: the largest between file and network, by input and task.
        kept_adapters: layers whose adapters could not be folded, with the reason.
    """

    differences: list[Difference]
    kept_adapters: dict[str, str] = field(default_factory=dict)


def export(
    model: nn.Module,
    config: Config,
    path: str | Path,
    kind: str = 'onnx',
    tasks: Sequence[str] | None = None,
    width: WidthConfig | None = None,
    merge: bool = False,
    dynamic_batch: bool = False,
    dynamic_size: bool = False,
) -> Exported:
    """Write a network as a file that needs nothing of this package, and compare the two.

    The file maps a normalised image ``[B, 3, H, W]`` to the logits of every task, ``[B, out_channels, H, W]``. What is
    done before and after is in its metadata, see :func:`mtl.deploy.describe`.

    Args:
        model: a :class:`mtl.models.MultiTaskModel` in evaluation mode, on the CPU; it is left as it is.
        config: its config.
        path: file to write; nothing is written where the comparison fails.
        kind: a key of :data:`FORMATS`.
        tasks: outputs; all by default.
        width: of a slimmable network; the full one by default.
        merge: fold adapters into plain weights where that is exact.
        dynamic_batch: take any number of images at once, not one.
        dynamic_size: take images of any size, not of the size of the config's evaluation only.

    Raises:
        ParityError: file and network differ by more than :data:`mtl.deploy.parity.TOLERANCE`.
        WidthError: see :func:`at_one_width`.
        ValueError: see :func:`mtl.deploy.describe`.
    """
    path, tasks = Path(path), tuple(model.tasks if tasks is None else tasks)
    metadata = describe(model, config, tasks)
    size = tuple(metadata['input']['size'])
    network = at_one_width(model, config, tasks, width)
    kept = fold_adapters(network.backbone, tasks) if merge else {}
    program = capture(Logits(network, tasks, dynamic_size), size, dynamic_batch)

    def reference(image):
        with nullcontext() if width is None else model.at_width(width):
            logits = model.logits(image, tasks)
        return [logits[task] for task in tasks]

    path.parent.mkdir(parents=True, exist_ok=True)
    unchecked = path.with_name(f'.{path.name}.unchecked')
    try:
        FORMATS[kind].write(program, unchecked, tasks, metadata)
        inputs = inputs_for(model, size, dynamic_batch, dynamic_size)
        found = differences(reference, FORMATS[kind].read(unchecked), inputs, tasks)
        check(found)
        os.replace(unchecked, path)
    finally:
        unchecked.unlink(missing_ok=True)
    return Exported(found, kept)


def at_one_width(model: nn.Module, config: Config, tasks: Sequence[str], width: WidthConfig | None) -> nn.Module:
    """A static network with the outputs of ``model`` for ``tasks``, of a slimmable one at ``width`` (full if None).

    Raises:
        WidthError: a width was asked for, and the network has only one.
    """
    width = model.space.check(model.space.full if width is None else width)
    if model.space.single:
        return copy.deepcopy(model)
    options, state = materialize(model, config.model, width, tasks)
    network = MODELS.build(options)
    network.load_state_dict(state)
    return network.eval()
