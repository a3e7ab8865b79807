"""The HRNet decoder of the MTLoRA paper."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mtl.models.backbones.pyramid import PyramidFeatures
from mtl.registry import MODELS


class HRNetTaskDecoder(nn.Module):
    """One task's part: level projections, then a 1x1 convolution over the concatenated levels, norm and ReLU.

    The public code upsamples all levels to the finest, concatenates and convolves. A 1x1 convolution and bilinear
    upsampling are both linear and act on different axes, so each level is convolved with its slice of the kernel at
    its own resolution, then upsampled and added: the same numbers, a seventh of the multiplications.

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
        self.projections = nn.ModuleList(
            nn.Conv2d(c_in, c_out, 1, bias=False) for c_in, c_out in zip(in_channels, level_channels, strict=True)
        )
        self.fuse = nn.Conv2d(sum(level_channels), out_channels, 1)
        self.norm = build_norm_layer(norm_cfg, out_channels)[1]

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """``[B, C_l, H_l, W_l]`` a level to ``[B, out_channels, H_0, W_0]``."""
        size = levels[0].shape[-2:]
        kernels = self.fuse.weight.split([projection.out_channels for projection in self.projections], dim=1)
        by_size: dict = {}  # levels of one resolution are added before they are upsampled
        for index, (level, projection, kernel) in enumerate(zip(levels, self.projections, kernels, strict=True)):
            part = F.conv2d(projection(level), kernel, self.fuse.bias if index == 0 else None)
            by_size[part.shape[-2:]] = by_size.get(part.shape[-2:], 0) + part
        total = by_size.pop(size)
        for part in by_size.values():
            total = total + F.interpolate(part, size=size, mode='bilinear', align_corners=False)
        return F.relu(self.norm(total))


@MODELS.register_module()
class HRNetDecoder(nn.Module):
    """One :class:`HRNetTaskDecoder` a task (MTLoRA, CVPR 2024, section 4; head of HRNet, Wang et al., TPAMI 2020).

    Args:
        in_channels: channels of the pyramid's levels (the model fills it in).
        tasks: names of the tasks (the model fills it in).
        level_channels: channels each level is projected to.
        out_channels: channels of each task's map.
        norm_cfg: norm of the map; BatchNorm as published.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        tasks: Sequence[str],
        level_channels: Sequence[int] = (18, 36, 72, 144),
        out_channels: int = 1080,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.01)
        self.out_channels = out_channels
        self.decoders = nn.ModuleDict(
            {task: HRNetTaskDecoder(in_channels, level_channels, out_channels, norm_cfg) for task in tasks}
        )

    def forward(self, features: PyramidFeatures, tasks: Sequence[str]) -> dict[str, Tensor]:
        """A map ``[B, out_channels, H, W]`` at the finest level's resolution for each of ``tasks``."""
        return {task: self.decoders[task](features.of(task)) for task in tasks}
