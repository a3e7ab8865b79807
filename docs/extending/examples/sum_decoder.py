"""A decoder that adds up the levels of the pyramid, each projected to the same channels."""

import torch.nn.functional as F
from torch import nn

from mtl.protocols import Decoder, DecoderOutput
from mtl.registry import MODELS


@MODELS.register_module()
class SumDecoder(Decoder):
    """Per task: a 1x1 convolution of each level, upsampled to the finest and summed; norm and ReLU.

    Args:
        in_channels, tasks: the model fills them in.
        channels: of the map of a task; one number, or one per task.
    """

    def __init__(self, in_channels, tasks, channels=32):
        super().__init__()
        self.out_channels = dict(channels) if isinstance(channels, dict) else dict.fromkeys(tasks, channels)
        self.levels, self.norms = nn.ModuleDict(), nn.ModuleDict()
        for task, out in self.out_channels.items():
            self.levels[task] = nn.ModuleList(nn.Conv2d(c, out, 1) for c in in_channels)
            self.norms[task] = nn.BatchNorm2d(out)

    def forward(self, features, tasks):
        return DecoderOutput({task: self.map_of(task, features.of(task)) for task in tasks})

    def map_of(self, task, levels):
        finest = levels[0].shape[-2:]
        projected = [layer(level) for layer, level in zip(self.levels[task], levels, strict=True)]
        total = sum(F.interpolate(x, finest, mode='bilinear', align_corners=False) for x in projected)
        return F.relu(self.norms[task](total))
