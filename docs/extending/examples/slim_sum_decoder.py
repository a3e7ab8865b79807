"""The decoder of sum_decoder.py, of which a share of each task's channels can run."""

from sum_decoder import SumDecoder

from mtl.models.slimmable.axes import Units, WidthTable
from mtl.models.slimmable.groups import WidthGroup
from mtl.protocols import Slimmable
from mtl.registry import MODELS


@MODELS.register_module()
class SlimSumDecoder(SumDecoder, Slimmable):
    """:class:`SumDecoder` of any width."""

    def width_table(self, multiple=8):
        table = WidthTable()
        for task, out in self.out_channels.items():
            channels = Units(WidthGroup(task, f'{task}.channels', out, multiple))  # the ratio of the task decides
            for index, layer in enumerate(self.levels[task]):
                table.add_linear(f'levels.{task}.{index}', layer, out=channels)
            table.add_norm(f'norms.{task}', self.norms[task], channels)
            table.outputs[task] = channels
        return table

    def width_options(self, width, multiple=8):
        outputs = self.width_table(multiple).outputs
        return dict(channels={task: outputs[task].length(width) for task in width.decoder})
