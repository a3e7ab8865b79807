"""Which axes of which tensors slim: the one table from which running, sorting, counting and cutting follow.

A slimmable network needs no layers of its own kind. A network says which axes of its parameters are made of units that
can be left out (:class:`WidthTable`), and everything else is done with that table: running at a width on prefix views
of the full parameters (:func:`at_width`), sorting units by importance (:mod:`.sorting`), a smaller static network
(:mod:`.materialize`), numbers of parameters without building anything (:meth:`WidthTable.shape`). So a slimmed forward
and the materialised network run the same code on equal numbers.

Backbones and decoders that slim fulfil :class:`mtl.protocols.Slimmable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from torch import Size, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.statistics import statistics_at
from mtl.models.slimmable.width import WidthConfig, WidthError
from mtl.protocols import SlimLayer


@dataclass(frozen=True)
class Units:
    """The units along one axis: ``blocks`` stretches, each of ``group.size`` units of ``unit`` entries.

    For instance the rows of timm's fused ``qkv`` weight: 3 blocks (query, key, value) of one unit of ``head_dim`` rows
    for each head.
    """

    group: WidthGroup
    unit: int = 1
    blocks: int = 1

    def prefix(self, x: Tensor, dim: int, width: WidthConfig) -> Tensor:
        """The first units of every block of ``x`` along ``dim``; a view where there is one block."""
        count = self.group.length(width)
        if count == self.group.size:
            return x
        if self.blocks == 1:
            return x.narrow(dim, 0, count * self.unit)
        parts = x.unflatten(dim, (self.blocks, self.group.size * self.unit))
        return parts.narrow(dim + 1, 0, count * self.unit).flatten(dim, dim + 1)

    def times(self, count: int) -> Units:
        """The same where each unit has ``count`` times as many entries."""
        return replace(self, unit=self.unit * count)

    def length(self, width: WidthConfig) -> int:
        """Length of the axis at ``width``."""
        return self.blocks * self.unit * self.group.length(width)

    def permute(self, x: Tensor, dim: int, order: Tensor) -> Tensor:
        """``x`` with the units of every block along ``dim`` in ``order``."""
        parts = x.unflatten(dim, (self.blocks, self.group.size, self.unit))
        return parts.index_select(dim + 1, order).flatten(dim, dim + 2)


@dataclass
class WidthTable:
    """What slims in a module.

    Args:
        tensors: the units along axes of parameters and buffers, ``{name: {dim: units}}``.
        norms: every BatchNorm over slimming channels (its weight and bias are among ``tensors``).
        settings: attributes that follow the width, such as an attention's number of heads: ``{name: value at width}``.
        outputs: of a decoder: the channels of each task's map.
        importance: measures by which units may be sorted before training, one number per unit.
    """

    tensors: dict[str, dict[int, Units]] = field(default_factory=dict)
    norms: dict[str, WidthGroup] = field(default_factory=dict)
    settings: dict[str, Callable[[WidthConfig], object]] = field(default_factory=dict)
    outputs: dict[str, Units] = field(default_factory=dict)
    importance: dict[WidthGroup, Callable[[], Tensor]] = field(default_factory=dict)

    def add_tensor(self, name: str, axes: Mapping[int, Units | None]) -> None:
        """Enter a tensor; an axis with ``None`` does not slim."""
        slim = {dim: units for dim, units in axes.items() if units is not None}
        if slim:
            self.tensors[name] = slim

    def add_linear(
        self, name: str, layer: nn.Linear | nn.Conv2d, out: Units | None = None, into: Units | None = None
    ) -> None:
        """Enter a linear layer or 1x1 convolution with all its adapters.

        Args:
            name: of the layer.
            layer: with a weight ``[out, in]`` or ``[out, in, 1, 1]``.
            out, into: what slims along its output and its input.
        """
        axes: dict[str, dict[int, Units | None]] = {'weight': {0: out, 1: into}}
        if layer.bias is not None:
            axes['bias'] = {0: out}
        if isinstance(layer, SlimLayer):
            axes |= layer.slim_axes(out, into)
        for key, units in axes.items():
            self.add_tensor(f'{name}.{key}', units)
            owner, _, attribute = key.rpartition('.')
            if attribute == 'weight':
                self._add_sizes(f'{name}.{owner}'.rstrip('.'), layer.get_submodule(owner), units.get(0), units.get(1))

    def _add_sizes(self, name: str, module: nn.Module, out: Units | None, into: Units | None) -> None:
        """Enter the attributes in which a module of torch keeps the sizes of its weight."""
        if isinstance(module, nn.LayerNorm) and out is not None:
            self.settings[f'{name}.normalized_shape'] = lambda width: (out.length(width),)
        if isinstance(module, nn.Linear) and out is not None:
            self.settings[f'{name}.out_features'] = out.length
        if isinstance(module, nn.Linear) and into is not None:
            self.settings[f'{name}.in_features'] = into.length

    def add_norm(self, name: str, norm: nn.Module, units: Units) -> None:
        """Enter a norm over the channels ``units``."""
        for key in ('weight', 'bias'):
            if getattr(norm, key, None) is not None:
                self.add_tensor(f'{name}.{key}', {0: units})
        if isinstance(norm, nn.LayerNorm):
            self.settings[f'{name}.normalized_shape'] = lambda width: (units.length(width),)
        elif isinstance(norm, _BatchNorm):
            self.norms[name] = units.group
        elif isinstance(norm, nn.GroupNorm):
            if units.group.multiple % norm.num_groups:
                raise WidthError(
                    f'{name} normalises {norm.num_groups} groups of channels, equal ones at every width: round '
                    f'widths to multiples of {norm.num_groups} (slimming.multiple); found {units.group.multiple}.'
                )
        else:
            raise WidthError(f'{name} is a {type(norm).__name__}; LayerNorm, GroupNorm and BatchNorm can be slimmed.')

    def add(self, prefix: str, other: WidthTable) -> None:
        """Enter the table of the submodule ``prefix``."""
        self.importance.update(other.importance)
        self.outputs.update(other.outputs)
        for field_name in ('tensors', 'norms', 'settings'):
            entries = getattr(other, field_name).items()
            getattr(self, field_name).update({f'{prefix}.{name}': value for name, value in entries})

    def shape(self, name: str, full: Size, width: WidthConfig) -> Size:
        """Shape of a tensor at ``width``.

        Args:
            name: of the tensor.
            full: its shape at full width.
        """
        owner, _, key = name.rpartition('.')
        if owner in self.norms and key in ('running_mean', 'running_var'):
            return Size([self.norms[owner].length(width)])
        axes = self.tensors.get(name, {})
        return Size(axes[dim].length(width) if dim in axes else length for dim, length in enumerate(full))


@contextmanager
def at_width(model: nn.Module, table: WidthTable, width: WidthConfig) -> Iterator[None]:
    """Run ``model`` at ``width`` inside the ``with``: its parameters are prefixes of the full ones.

    They are views where possible, so gradients flow to the full parameters; a backward pass that runs layers again
    (gradient checkpointing) must happen inside, too. Statistics of BatchNorm are those of the width.

    Args:
        model: network.
        table: what slims in it.
        width: how much of it runs.
    """
    undo: list[tuple[dict, str, object]] = []

    def put(store: dict, key: str, value: object) -> None:
        undo.append((store, key, store[key]))
        store[key] = value

    modules = dict(model.named_modules())
    try:
        for name, axes in table.tensors.items():
            owner, _, key = name.rpartition('.')
            module = modules[owner]
            store = module._parameters if key in module._parameters else module._buffers
            value = store[key]
            if value is not None:
                for dim, units in axes.items():
                    value = units.prefix(value, dim, width)
                if value is not store[key]:
                    put(store, key, value)
        for name, group in table.norms.items():
            for key, value in statistics_at(modules[name], name, group, width).items():
                put(modules[name]._buffers, key, value)
        for name, value_at in table.settings.items():
            owner, _, key = name.rpartition('.')
            put(modules[owner].__dict__, key, value_at(width))
        yield
    finally:
        for store, key, value in reversed(undo):
            store[key] = value
