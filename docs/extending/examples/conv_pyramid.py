"""A small convolutional backbone, whose layers may have adapters."""

import torch.nn.functional as F
from torch import nn

from mtl.checkpoints.pretrained import load_pretrained
from mtl.checkpoints.swin_keys import Renamed
from mtl.models.adapters import inject
from mtl.protocols import AdaptableLayer, Backbone, adapter_parameters
from mtl.registry import MODELS
from mtl.structures import Level, PyramidFeatures


class Stage(nn.Module):
    """A lower resolution, then a residual branch with four times the channels."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.down = nn.Conv2d(channels_in, channels, stride, stride)
        self.expand = nn.Conv2d(channels, 4 * channels, 1)
        self.mix = nn.Conv2d(4 * channels, 4 * channels, 5, padding=2, groups=4 * channels)
        self.shrink = nn.Conv2d(4 * channels, channels, 1)
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, x):
        x = self.down(x)
        return x + self.norm(self.shrink(F.gelu(self.mix(self.expand(x)))))


@MODELS.register_module()
class ConvPyramid(Backbone):
    """Levels with strides 4, 8, 16 and 32, which all tasks share. With adapters, nothing else trains."""

    def __init__(self, channels=(16, 32, 64, 128), adapters=None, pretrained=None, allow_random_init=False, tasks=()):
        super().__init__()
        self.channels, self.strides, self.size_divisor = tuple(channels), (4, 8, 16, 32), 32
        sizes = zip((3, *channels[:-1]), channels, (4, 2, 2, 2), strict=True)
        self.stages = nn.ModuleList(Stage(*size) for size in sizes)
        load_pretrained(self, pretrained, 'conv_pyramid', allow_random_init, rename=Renamed)
        inject(self, adapters, tasks)
        self.requires_grad_(not adapters)
        for parameter in adapter_parameters(self):
            parameter.requires_grad_(True)

    def adaptable_layers(self):
        for level, stage in enumerate(self.stages):
            for name in ('down', 'expand', 'shrink'):
                yield AdaptableLayer(stage, name, 'conv', level)

    def forward(self, x, tasks=None):
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(Level(x[None]))  # one stream, the shared one
        return PyramidFeatures(tuple(levels), self.strides)
