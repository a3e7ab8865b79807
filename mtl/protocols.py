"""What the parts of a network answer, and what they get for it: backbones, decoders, layers with adapters.

A part derives from its contract. Then it is one file, inside or outside of the package: nothing else knows its name.
What it does not answer, Python or :func:`check_contract` says when the model is built. ``docs/extending/`` has an
example of each.

=====================  ==========================================  ==================================================
contract               what it answers                             what it gets
=====================  ==========================================  ==================================================
:class:`Backbone`      ``forward``, sizes, ``adaptable_layers``    a place in the model; adapters of every kind
:class:`Decoder`       ``forward``, ``out_channels``, ``wants``    a place in the model; its first products in the neck
:class:`AdapterLayer`  ``adapter_parameters``, ``slim_axes``,      freezing, accounting, adapter-only files; widths;
                       ``why_unmergeable``, ``updates``            merging; what no loss can reach is frozen
:class:`Slimmable`     ``width_table``, ``width_options``          all widths, sorting, search, smaller networks
:class:`SortedUnits`   ``move_units``                              averages and adapter-only files follow its units
:class:`TrainPolicy`   ``step``                                    a name in ``model.slimming.type``
=====================  ==========================================  ==================================================
"""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from mtl.errors import ExplainedError
from mtl.structures import PyramidFeatures
from mtl.tasks import Task


class ContractError(ExplainedError, TypeError):
    """A part that does not answer what its contract asks; the message names what is missing."""


class MergeError(ExplainedError, ValueError):
    """An update that no single weight can express; the message says why."""


def check_contract(part: object, contract: ABCMeta) -> None:
    """Refuse a ``part`` that does not answer what ``contract`` asks.

    Raises:
        ContractError: methods or attributes are missing.
    """
    asked = sorted({*contract.__abstractmethods__, *contract.__annotations__})
    missing = [name for name in asked if not hasattr(part, name)]
    if isinstance(part, contract) and not missing:
        return
    kind, name = type(part).__name__, contract.__name__
    lacks = f'it lacks {", ".join(f"`{each}`" for each in missing)}' if missing else 'it does not derive from it'
    raise ContractError(f'{kind} is not a {name}: {lacks}. See {contract.__module__}.{name} for what that is.')


# ---- backbones ------------------------------------------------------------------------------------------------------


class AdaptableLayer(NamedTuple):
    """A layer of a backbone in whose place one with adapters may stand.

    Attributes:
        parent, name: the module that holds it, and under which name.
        role: what it is in its block: ``'qkv'`` (also ``q``, ``k`` and ``v`` apart), ``'proj'``, ``'fc1'``, ``'fc2'``,
            ``'reduction'``, ``'conv'``.
        stage: index of the pyramid's level that it works for.
        starts_streams: whether the streams of tasks may begin in it.
        last: whether it is in the last block of its stage.
    """

    parent: nn.Module
    name: str
    role: str
    stage: int
    starts_streams: bool = False
    last: bool = False

    @property
    def layer(self) -> nn.Module:
        """The layer that stands there now."""
        return getattr(self.parent, self.name)

    def replace(self, layer: nn.Module) -> None:
        """Put ``layer`` in its place."""
        setattr(self.parent, self.name, layer)


class Backbone(nn.Module, ABC):
    """An image goes in, a pyramid of streams comes out.

    The model builds it with ``tasks``, names of the tasks. Tools also set these options of it: ``pretrained``, of which
    ``'checkpoint'`` says that the weights of the whole model follow, and ``adapters``, the argument of
    :func:`mtl.models.adapters.inject`.

    Attributes:
        channels: channels of each level.
        strides: input pixels per feature pixel, each level.
        size_divisor: input sizes must be multiples of it.
        pixel_mean, pixel_std: by which it wants the RGB values in 0..255 normalised; those of ImageNet by default.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    size_divisor: int
    pixel_mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    pixel_std: tuple[float, ...] = (58.395, 57.12, 57.375)

    @abstractmethod
    def forward(self, x: Tensor, tasks: Sequence[str] | None = None) -> PyramidFeatures:
        """Features of ``x``.

        Args:
            x: ``[B, 3, H, W]``, ``H`` and ``W`` multiples of ``size_divisor``.
            tasks: run the streams of these tasks only; ``None`` for all. With ``'shared'`` among them the last shared
                stream is computed even where no task reads it.
        """

    def adaptable_layers(self) -> Iterator[AdaptableLayer]:
        """The layers that may have adapters, each once, in the order of the forward pass. None by default."""
        return iter(())


# ---- decoders -------------------------------------------------------------------------------------------------------


class Projection(NamedTuple):
    """A linear map of some streams of a level, which a decoder asks the neck for.

    Attributes:
        streams: ``S`` names: tasks, or ``'shared'``. A task without a stream of its own reads the shared one.
        weights: ``[S, out, C]``.
    """

    streams: tuple[str, ...]
    weights: Tensor


@dataclass(frozen=True)
class DecoderInput:
    """The levels of the pyramid, from fine to coarse, as a decoder takes them.

    Args:
        levels: of each level: ``{task: [B, C, H, W]}``; of a decoder with :meth:`Decoder.wants`,
            ``[S, B, H, W, out]`` by what it calls them.
        own: of each level the tasks with a stream of their own; the others read the shared one.
    """

    levels: tuple[Mapping[Hashable, Tensor], ...]
    own: tuple[frozenset[str], ...]

    def of(self, name: Hashable) -> list[Tensor]:
        """The tensor of that name of every level."""
        return [level[name] for level in self.levels]


@dataclass(frozen=True)
class DecoderOutput:
    """One feature map per task, and what else a decoder has to say.

    Args:
        maps: ``{task: [B, C_task, H, W]}``, the features of the heads.
        intermediate: earlier maps of the same form, one entry per level, that training also supervises.
        intermediate_weight: weight of their mean loss beside the loss of :attr:`maps`.
        losses: terms of the decoder itself, weighted, by name.
        gates: of a mixture of experts, one entry per level: ``[T, B, H, W, N]``, positive with sum 1 over the last
            axis, at the resolution of the level, tasks in the order of :attr:`maps`, without gradient.
        choices: what the ``N`` gates choose from, e.g. ``('expert_1', 'expert_2', 'memory')``.
    """

    maps: dict[str, Tensor]
    intermediate: tuple[dict[str, Tensor], ...] = ()
    intermediate_weight: float = 0.0
    losses: dict[str, Tensor] = field(default_factory=dict)
    gates: tuple[Tensor, ...] = ()
    choices: tuple[str, ...] = ()


class Decoder(nn.Module, ABC):
    """The levels of a pyramid go in, one feature map per task comes out.

    The model builds it with ``in_channels``, channels of the pyramid's levels, and ``tasks``, names of the tasks.

    Attributes:
        out_channels: channels of the map by task.
        reads_shared: whether it needs the shared stream of every level, even where each task has its own.
    """

    out_channels: dict[str, int]
    reads_shared: bool = False

    def wants(
        self, own: Sequence[frozenset[str]], tasks: tuple[str, ...]
    ) -> Sequence[Mapping[Hashable, Projection]] | None:
        """The linear maps with which the decoder begins, by any names, for each level.

        The neck does them; ``None`` for the levels as they are.

        Args:
            own: of each level, which of ``tasks`` have a stream of their own.
            tasks: those that run.
        """
        return None

    @abstractmethod
    def forward(self, features: DecoderInput, tasks: Sequence[str]) -> DecoderOutput:
        """Maps ``[B, C_task, H, W]`` of ``tasks``, which depend on no other task."""

    def each_map(self, features: DecoderInput, tasks: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """Each of ``tasks`` with its map, for callers that need one at a time.

        A decoder whose tasks are independent makes a map only when it is asked for: no two take memory at once.
        """
        yield from self(features, tasks).maps.items()


# ---- layers with adapters -------------------------------------------------------------------------------------------


Axis = TypeVar('Axis', bound='UnitsOfAxis')


class UnitsOfAxis(Protocol):
    """The units along an axis of a tensor, :class:`mtl.models.slimmable.axes.Units`."""

    def times(self: Axis, count: int) -> Axis:
        """The same where each unit has ``count`` times as many entries."""


class Names(Protocol):
    """What a tuple of names has in common with a module that holds others by name."""

    def __contains__(self, name: str, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...


class SlimLayer(nn.Module, ABC):
    """A layer with more tensors than weight and bias that slim; mixed into ``nn.Linear`` or ``nn.Conv2d``.

    Attributes:
        tasks: names of the tasks with tensors of their own here.
    """

    tasks: Names

    @abstractmethod
    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """The units along axes of its further tensors, ``{name: {dim: units}}``.

        Args:
            out, into: the units along its output and its input; ``None`` where nothing slims.
        """


class AdapterLayer(SlimLayer):
    """A layer with adapters in the place of a layer of the backbone, the names of whose parameters it keeps.

    One whose update can be added to the weight derives from :class:`mtl.models.adapters.merging.Mergeable`.
    """

    @abstractmethod
    def adapter_parameters(self) -> list[nn.Parameter]:
        """The parameters that belong to the adapter, not to the layer in whose place it stands."""

    def why_unmergeable(self, task: str | None = None) -> str | None:
        """Why no single weight gives the shared output (or that of ``task``); ``None`` if one does."""
        return f'{type(self).__name__} is not a linear map with one weight.'

    def merge(self, task: str | None = None) -> None:
        """Fold the update into the weight.

        Raises:
            MergeError: no single weight gives the output.
        """
        raise MergeError(self.why_unmergeable(task))

    def folded(self, tasks: Sequence[str]) -> nn.Module:
        """A plain layer with the outputs of this one; it may take over its parameters.

        Args:
            tasks: those with an update of their own here that must stay.

        Raises:
            MergeError: no plain layer gives the outputs.
        """
        raise MergeError(self.why_unmergeable())

    def updates(self) -> Iterable[tuple[nn.Parameter, list[nn.Parameter]]]:
        """Parameters that are of no use together: all of a group are, where the gradient of its first is zero."""
        return ()


def adapter_layers(module: nn.Module) -> Iterator[tuple[str, AdapterLayer]]:
    """Every layer with adapters, with its name."""
    for name, layer in module.named_modules():
        if isinstance(layer, AdapterLayer):
            yield name, layer


def adapter_parameters(module: nn.Module) -> list[nn.Parameter]:
    """All adapter parameters below ``module``."""
    return [parameter for _, layer in adapter_layers(module) for parameter in layer.adapter_parameters()]


# ---- the whole network ----------------------------------------------------------------------------------------------


class Network(nn.Module, ABC):
    """An image goes in, one dense map per task comes out: what joins the parts, :class:`mtl.models.MultiTaskModel`.

    Attributes:
        tasks: by name.
        active_tasks: names of those that run where a call does not say which.
        backbone, decoder: the parts.
    """

    tasks: Mapping[str, Task]
    active_tasks: tuple[str, ...]
    backbone: Backbone
    decoder: Decoder

    @classmethod
    def for_prediction(cls, config: dict) -> tuple[dict, tuple[str, ...]]:
        """What a published network is built from.

        Args:
            config: of a model of this class.

        Returns:
            The config of the network that predicts, and the prefixes of the weights that only training needs.
        """
        return config, ()

    @abstractmethod
    def extract(self, inputs: Tensor, tasks: Sequence[str]) -> PyramidFeatures:
        """Pyramid of streams for images ``[B, 3, H, W]``."""

    @abstractmethod
    def logits(self, inputs: Tensor, tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """``{task: [B, out_channels, H, W]}`` of images ``[B, 3, H, W]``; ``None`` for the :attr:`active_tasks`."""


# ---- parts that slim ------------------------------------------------------------------------------------------------


class Slimmable(ABC):
    """A backbone or a decoder of which a share of the units can run."""

    @abstractmethod
    def width_table(self, multiple: int = 8) -> Any:
        """What slims in it, a :class:`mtl.models.slimmable.axes.WidthTable` with names relative to the part.

        Args:
            multiple: numbers of units are rounded to multiples of it, where that makes sense.
        """

    @abstractmethod
    def width_options(self, width: Any, multiple: int = 8) -> dict:
        """Arguments that build the part as small as ``width``, a :class:`mtl.models.slimmable.width.WidthConfig`."""


class SortedUnits(ABC):
    """A network whose units move during training. Its state dict says where they are, so that copies can follow."""

    @abstractmethod
    def move_units(self, state: Mapping[str, Tensor]) -> None:
        """Move its units to where they are in ``state``, a state dict of the same network or its buffers by name."""


# ---- training -------------------------------------------------------------------------------------------------------


class TrainPolicy(ABC):
    """What a step of training is made of, where it is more than one forward and one backward pass."""

    @abstractmethod
    def step(self, model: nn.Module, data: dict, optim_wrapper: OptimWrapper, network: nn.Module) -> dict[str, Tensor]:
        """One step of the optimizer; gives what is logged.

        Args:
            model: a :class:`mtl.models.MultiTaskModel`.
            data: a batch of the data loader.
            optim_wrapper: MMEngine's wrapper of the optimizer.
            network: what to call: ``model``, or what wraps it in distributed training.
        """
