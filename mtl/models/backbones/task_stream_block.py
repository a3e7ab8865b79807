"""The Swin block in which the streams of the tasks leave the shared one."""

from __future__ import annotations

from torch import Tensor, nn

from mtl.models.adapters.low_rank import MTLoRALinear


def through_streams(layer: nn.Module, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True) -> Tensor:
    """``layer`` on stacked streams ``[S, ..., in]``; an adapted layer may start the task streams (``S`` grows)."""
    if isinstance(layer, MTLoRALinear):
        return layer.forward_streams(x, tasks, keep_shared)
    return layer(x if keep_shared else x[1:])


class TaskStreamBlock(nn.Module):
    """A timm Swin block whose projection and MLP run on stacked streams.

    The projection after attention is a pointwise linear map, so it commutes with window reverse, roll and crop. It is
    taken out of timm's attention, which then runs once, on the shared stream; projection and MLP see ``1 + T``
    streams. Every stream has its own residual path; norms are shared (MTLoRA, CVPR 2024, figure 3).

    Args:
        block: timm ``SwinTransformerBlock``; its attention loses its projection to this module.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.proj = block.attn.proj
        block.attn.proj = nn.Identity()
        self.block = block

    def forward(self, x: Tensor, tasks: tuple[str, ...], keep_shared: bool = True) -> Tensor:
        """From the shared stream ``[B, H, W, C]`` to the stack ``[1 + T, B, H, W, C]``.

        With ``keep_shared`` off, the stack is ``[T, B, H, W, C]``: the shared output is not computed.
        """
        block = self.block
        attended = block._attn(block.norm1(x))[None]
        x = x + _drop_path(block.drop_path1, through_streams(self.proj, attended, tasks))
        mlp = block.mlp
        hidden = mlp.drop1(mlp.act(through_streams(mlp.fc1, block.norm2(x), tasks)))
        output = mlp.drop2(through_streams(mlp.fc2, hidden, tasks, keep_shared))
        residual = x if keep_shared or len(x) == 1 else x[1:]
        return residual + _drop_path(block.drop_path2, output)


def _drop_path(drop_path: nn.Module, x: Tensor) -> Tensor:
    """Stochastic depth with one draw a sample and stream: ``x`` is ``[S, B, ...]``, timm draws along the first axis."""
    return drop_path(x.flatten(0, 1)).view_as(x)
