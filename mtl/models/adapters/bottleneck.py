"""Bottleneck adapters (Houlsby et al., ICML 2019), shared by all tasks as in VL-Adapter (Sung et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Iterable

import torch.nn.functional as F
from torch import Tensor, nn

from mtl.models.adapters.placement import Placement
from mtl.protocols import AdapterLayer, Axis
from mtl.registry import MODELS


class BottleneckLinear(AdapterLayer, nn.Linear):
    """A frozen linear layer followed by a residual bottleneck: ``h + U gelu(D h)`` with ``h = W x + b``.

    Behind the projection of attention or the second layer of an MLP, it stands where Houlsby et al. put it: at the
    end of the sub-layer, before the residual. ``U`` starts at zero, so that training starts from the base layer.

    Args:
        base: the layer to adapt; its parameters are taken over.
        hidden: width of the bottleneck.
    """

    tasks: tuple[str, ...] = ()  # shared by all

    def __init__(self, base: nn.Linear, hidden: int) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device='meta')
        if hidden < 1:
            raise ValueError(f'The width of a bottleneck is at least 1; found {hidden}.')
        self.weight, self.bias = base.weight, base.bias
        self.down = nn.Linear(base.out_features, hidden)
        self.up = nn.Linear(hidden, base.out_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def reset_parameters(self) -> None:
        """The weights of ``base`` are used unchanged."""

    def forward(self, x: Tensor) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        h = F.linear(x, self.weight, self.bias)
        return h + self.up(F.gelu(self.down(h)))

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The parameters of the bottleneck."""
        return [*self.down.parameters(), *self.up.parameters()]

    def slim_axes(self, out: Axis | None, into: Axis | None) -> dict[str, dict[int, Axis | None]]:
        """See :class:`mtl.protocols.SlimLayer`."""
        return {'down.weight': {1: out}, 'up.weight': {0: out}, 'up.bias': {0: out}}

    def why_unmergeable(self, task: str | None = None) -> str:
        """See :class:`AdapterLayer`."""
        return 'a bottleneck adapter has a nonlinearity inside, so it is not a linear map.'


@MODELS.register_module()
class Bottleneck(Placement):
    """Placement of bottleneck adapters: behind attention and MLP of every block.

    Args:
        reduction: width of the layer divided by that of the bottleneck.
        targets: layers, among ``proj fc2``.
    """

    def __init__(self, reduction: int = 8, targets: Iterable[str] = ('proj', 'fc2')) -> None:
        self.reduction, self.targets = reduction, tuple(targets)

    def adapt(
        self, layer: nn.Module, target: str, stage: int, tasks: Iterable[str] = (), last: bool = False
    ) -> nn.Module:
        """See :meth:`Placement.adapt`."""
        if target not in self.targets:
            return layer
        if not isinstance(layer, nn.Linear):
            raise ValueError(f'A bottleneck stands behind a linear layer; the {target} of this network is not one.')
        return BottleneckLinear(layer, max(1, layer.out_features // self.reduction))
