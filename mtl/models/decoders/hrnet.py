"""The HRNet decoder of the MTLoRA paper."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtl.models.containers import ModuleDict, ModuleList
from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.models.slimmable.width import WidthConfig
from mtl.ops.fuse_levels import fuse_levels
from mtl.protocols import Decoder, DecoderInput, DecoderOutput, Projection, Slimmable
from mtl.registry import MODELS


class HRNetTaskDecoder(nn.Module):
    """One task's part: level projections, then a 1x1 convolution over the upsampled, concatenated levels, norm, ReLU.

    In evaluation, a BatchNorm is a fixed scale and shift of each channel and becomes part of the convolution.

    Args:
        in_channels: channels of the pyramid's levels.
        level_channels: channels each level is projected to (no bias).
        out_channels: channels of the resulting map.
        norm_cfg: norm after the convolution.
    """

    def __init__(
        self, in_channels: Sequence[int], level_channels: Sequence[int], out_channels: int, norm_cfg: dict
    ) -> None:
        super().__init__()
        self.projections = ModuleList(
            nn.Conv2d(c_in, c_out, 1, bias=False) for c_in, c_out in zip(in_channels, level_channels, strict=True)
        )
        self.fuse = nn.Conv2d(sum(level_channels), out_channels, 1)
        self.norm = build_norm_layer(norm_cfg, out_channels)[1]

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Projected levels ``[B, H_l, W_l, c_l]`` to ``[B, out_channels, H_0, W_0]``."""
        weight, bias = self.fuse.weight.flatten(1), self.fuse.bias
        assert bias is not None
        folds = isinstance(self.norm, _BatchNorm) and self.norm.track_running_stats and not self.training
        if folds:
            scale = self.norm.weight * torch.rsqrt(self.norm.running_var + self.norm.eps)
            weight, bias = weight * scale[:, None], (bias - self.norm.running_mean) * scale + self.norm.bias
        values = fuse_levels(levels, weight, bias).permute(0, 3, 1, 2)
        return F.relu(values if folds else self.norm(values), inplace=True)


@MODELS.register_module()
class HRNetDecoder(Decoder, Slimmable):
    """One :class:`HRNetTaskDecoder` per task (MTLoRA, CVPR 2024, section 4; head of HRNet, Wang et al., TPAMI 2020).

    Args:
        in_channels: channels of the pyramid's levels (the model fills it in).
        tasks: names of the tasks (the model fills it in).
        level_channels: channels each level is projected to.
        out_channels: channels of each task's map, one number or one per task.
        norm_cfg: norm of the map; BatchNorm as published.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        tasks: Sequence[str],
        level_channels: Sequence[int] = (18, 36, 72, 144),
        out_channels: int | Mapping[str, int] = 1080,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.1)
        of_task = out_channels if isinstance(out_channels, Mapping) else dict.fromkeys(tasks, out_channels)
        self.out_channels = {task: of_task[task] for task in tasks}
        self.decoders = ModuleDict(
            {
                task: HRNetTaskDecoder(in_channels, level_channels, channels, norm_cfg)
                for task, channels in self.out_channels.items()
            }
        )

    def wants(self, own: Sequence[frozenset[str]], tasks: tuple[str, ...]) -> list[dict[Hashable, Projection]]:
        """See :meth:`Decoder.wants`: every level of every task, stacked."""
        levels = zip(*(self.decoders[task].projections for task in tasks), strict=True)
        return [{'all': Projection(tasks, torch.stack([each.weight.flatten(1) for each in level]))} for level in levels]

    def forward(self, features: DecoderInput, tasks: Sequence[str]) -> DecoderOutput:
        """A map ``[B, out_channels, H, W]`` at the finest level's resolution for each of ``tasks``."""
        return DecoderOutput(dict(self.each_map(features, tasks)))

    def each_map(self, features: DecoderInput, tasks: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """See :meth:`Decoder.each_map`; maps of 1080 channels are the largest tensors of the network."""
        levels = features.of('all')
        for index, task in enumerate(tasks):
            yield task, self.decoders[task]([level[index] for level in levels])

    # ---- width ----------------------------------------------------------------------------------------------------

    def width_table(self, multiple: int = 8) -> WidthTable:
        """What slims: the channels of a task's map, where nearly all multiplications are; levels keep their channels.

        Args:
            multiple: channels are rounded to multiples of it.
        """
        table = WidthTable()
        for task, decoder in self.decoders.items():
            channels = Units(WidthGroup(task, f'{task}.channels', self.out_channels[task], multiple))
            table.add_linear(f'decoders.{task}.fuse', decoder.fuse, out=channels)
            table.add_norm(f'decoders.{task}.norm', decoder.norm, channels)
            table.outputs[task] = channels
        return table

    def width_options(self, width: WidthConfig, multiple: int = 8) -> dict:
        """Arguments that build this decoder as small as ``width``, see :meth:`width_table`."""
        outputs = self.width_table(multiple).outputs
        return dict(out_channels={task: outputs[task].length(width) for task in width.decoder})
