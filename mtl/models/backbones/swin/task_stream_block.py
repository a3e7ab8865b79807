"""The Swin block in which the streams of the tasks leave the shared one."""

from __future__ import annotations

from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn

from mtl.models.backbones.stream_block import BranchEnd, StreamBlock
from mtl.models.backbones.swin.window_block import windowed_attention
from mtl.ops.low_rank_streams import LowRankStreams


class TaskStreamBlock(nn.Module):
    """A timm Swin block as a :class:`mtl.models.backbones.stream_block.StreamBlock`.

    Args:
        block: its attention loses its projection to this module.
    """

    def __init__(self, block: SwinTransformerBlock) -> None:
        super().__init__()
        self.proj = block.attn.proj
        block.attn.add_module('proj', nn.Identity())
        self.block = block

    @property
    def parts(self) -> StreamBlock:
        """What streams pass."""
        block, mlp = self.block, self.block.mlp
        return StreamBlock(
            attend=lambda x: windowed_attention(block, block.norm1(x)),
            proj=self.proj,
            after_proj=BranchEnd(nn.Identity(), None, None, block.drop_path1),  # dropout is part of the attention
            norm=block.norm2,
            mlp=mlp,
            after_mlp=BranchEnd(mlp.drop2, None, None, block.drop_path2),
        )

    def forward(
        self, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True
    ) -> tuple[Tensor | None, LowRankStreams | None]:
        """See :meth:`StreamBlock.run`, on maps ``[B, H, W, C]``."""
        return self.parts.run(x, tasks, keep_shared)

    def differs_by_low_rank(self, tasks: tuple[str, ...]) -> bool:
        """See :meth:`StreamBlock.differs_by_low_rank`."""
        return self.parts.differs_by_low_rank(tasks)
