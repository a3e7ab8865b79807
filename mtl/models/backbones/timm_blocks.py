"""Transformer families of timm in which the streams of tasks may begin, and the roles of the layers of any network."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from timm.layers import Attention, AttentionRope, LayerScale, Mlp
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.swin_transformer_v2 import SwinTransformerV2, SwinTransformerV2Block, SwinTransformerV2Stage
from timm.models.swin_transformer_v2 import WindowAttention as WindowAttentionV2
from timm.models.vision_transformer import Block, ResPostBlock, VisionTransformer
from torch import Tensor, nn

from mtl.models.backbones.stream_block import BranchEnd, KnownMlp, StreamBlock
from mtl.protocols import AdaptableLayer, SlimLayer

ROLES = dict(
    qkv='qkv', q='qkv', k='qkv', v='qkv', kv='qkv', q_proj='qkv', k_proj='qkv', v_proj='qkv',
    proj='proj', fc1='fc1', fc1_g='fc1', fc1_x='fc1', fc2='fc2', reduction='reduction',
)  # fmt: skip
KnownBlock = Block | ResPostBlock | EvaBlock | EvaBlockPostNorm | SwinTransformerV2Block
KnownAttention = Attention | AttentionRope | EvaAttention | WindowAttentionV2  # whose last layer is `proj`
M = TypeVar('M', bound=nn.Module)

if TYPE_CHECKING:

    class TimmNetwork(nn.Module):
        """What the networks of timm have in common, of which its types say nothing."""

        feature_info: Sequence[Mapping[str, Any]]
        pretrained_cfg: Mapping[str, Any] | None
        forward_intermediates: Callable[..., list[Tensor]]
        prune_intermediate_layers: Callable[..., list[int]]
        set_grad_checkpointing: Callable[[bool], None]


# ---- blocks ---------------------------------------------------------------------------------------------------------


def stream_block(block: nn.Module, options: Mapping | None = None) -> StreamBlock:
    """A block of timm as the parts that streams pass.

    Args:
        block: one that :func:`lets_streams_begin`.
        options: further arguments of its attention, such as rotary positions.
    """
    assert isinstance(block, KnownBlock)
    attention, mlp, options = block.attn, block.mlp, options or {}
    assert isinstance(attention, KnownAttention)
    assert isinstance(mlp, KnownMlp)
    unprojected = _with(attention, proj=nn.Identity(), proj_drop=nn.Identity())
    gamma1 = gamma2 = None
    attend: Callable[[Tensor], Tensor]
    if isinstance(block, SwinTransformerV2Block):
        attend = _with(block, attn=unprojected)._attn
    elif isinstance(block, (ResPostBlock, EvaBlockPostNorm)):
        attend = partial(unprojected, **options)
    else:
        attend = lambda x: unprojected(block.norm1(x), **options)  # noqa: E731
        if isinstance(block, EvaBlock):
            gamma1, gamma2 = block.gamma_1, block.gamma_2
        else:
            gamma1, gamma2 = (each.gamma if isinstance(each, LayerScale) else None for each in (block.ls1, block.ls2))
    post_norms = isinstance(block, (SwinTransformerV2Block, ResPostBlock, EvaBlockPostNorm))
    norm1, norm2 = (block.norm1, block.norm2) if post_norms else (None, None)
    return StreamBlock(
        attend=attend,
        proj=attention.proj,
        after_proj=BranchEnd(attention.proj_drop, norm1, gamma1, block.drop_path1),
        norm=None if post_norms else block.norm2,
        mlp=mlp,
        after_mlp=BranchEnd(mlp.drop2, norm2, gamma2, block.drop_path2),
    )


def lets_streams_begin(block: nn.Module) -> bool:
    """Whether the parts of ``block`` are known."""
    known = isinstance(block, KnownBlock)
    return known and isinstance(block.attn, KnownAttention) and isinstance(block.mlp, KnownMlp)


def _with(module: M, **children: nn.Module) -> M:
    """``module`` with other children: a second module with the same parameters, which nothing else sees."""
    other = copy.copy(module)
    other._modules = {**module._modules, **children}
    return other


def call_adapted_qkv(network: nn.Module) -> None:
    """Make attentions call their ``qkv`` where it has adapters, in place.

    Two kinds multiply by ``qkv.weight`` themselves, together with biases of their own, unless they are told not to.
    """
    for module in network.modules():
        if isinstance(module, (EvaAttention, WindowAttentionV2)) and isinstance(module.qkv, SlimLayer):
            module.qkv_bias_separate = True


# ---- widths ---------------------------------------------------------------------------------------------------------


class PlainBlock(NamedTuple):
    """A block whose heads and hidden units can be left out.

    One product for queries, keys and values, no gate and no norm over all heads, and an MLP of two linear layers. Any
    number of its units gives a block of the same kind.

    Attributes:
        level, number, name: the level of the pyramid that it works for, its place among the blocks, its name.
        block: it.
        attention, mlp, fc1, fc2: parts of it.
    """

    level: int
    number: int
    name: str
    block: Block
    attention: Attention
    mlp: Mlp
    fc1: nn.Linear
    fc2: nn.Linear


def slimmable_blocks(network: nn.Module, ends: Sequence[int]) -> Iterator[PlainBlock]:
    """Every block whose heads and hidden units can be left out.

    Args:
        network: of timm.
        ends: indices of the blocks that are levels of the pyramid.
    """
    blocks = network.blocks if isinstance(network, VisionTransformer) else ()
    for index, block in enumerate(blocks):
        if type(block) is not Block or type(block.attn) is not Attention or type(block.mlp) is not Mlp:
            continue
        attention, mlp, fc1, fc2 = block.attn, block.mlp, block.mlp.fc1, block.mlp.fc2
        plain = attention.gate is None and not any(attention.norm.parameters())
        if plain and isinstance(fc1, nn.Linear) and isinstance(fc2, nn.Linear):
            level = next(level for level, end in enumerate(ends) if end >= index)
            yield PlainBlock(level, index, f'blocks.{index}', block, attention, mlp, fc1, fc2)


def keep_units(block: PlainBlock, heads: int, hidden: int) -> None:
    """Keep the first ``heads`` attention heads and the first ``hidden`` hidden units of the MLP, in place."""
    attention, mlp = block.attention, block.mlp
    if heads < attention.num_heads:
        units = torch.arange(heads * attention.head_dim)
        thirds = torch.cat([units + third * attention.attn_dim for third in range(3)])
        attention.qkv, attention.proj = _part(attention.qkv, 0, thirds), _part(attention.proj, 1, units)
        attention.num_heads, attention.attn_dim = heads, len(units)
    if hidden < block.fc1.out_features:
        units = torch.arange(hidden)
        mlp.fc1, mlp.fc2 = _part(block.fc1, 0, units), _part(block.fc2, 1, units)


def _part(layer: nn.Linear, dim: int, units: Tensor) -> nn.Linear:
    """``layer`` with some of its outputs (``dim`` 0) or inputs (1)."""
    n_in, n_out = (layer.in_features, len(units)) if dim == 0 else (len(units), layer.out_features)
    part = nn.Linear(n_in, n_out, bias=layer.bias is not None)
    with torch.no_grad():
        part.weight.copy_(layer.weight.index_select(dim, units))
        if layer.bias is not None:
            part.bias.copy_(layer.bias[units] if dim == 0 else layer.bias)
    return part


# ---- families -------------------------------------------------------------------------------------------------------


class PlainTransformer:
    """Tokens ``[B, N, C]`` of one resolution, prefix tokens first; each block may end a level (ViT, Eva).

    Args:
        network: of timm.
    """

    def __init__(self, network: VisionTransformer | Eva) -> None:
        self.network = network

    def stages(self) -> list[list[nn.Module]]:
        """The modules of each feature of timm, in the order of the forward pass."""
        return [[block] for block in self.network.blocks]

    def embed(self, image: Tensor) -> tuple[Tensor, Sequence[Mapping]]:
        """Tokens of ``image``, and further arguments of the blocks of each stage."""
        network, count = self.network, len(self.network.blocks)
        if isinstance(network, VisionTransformer):
            return network.norm_pre(network.patch_drop(network._pos_embed(network.patch_embed(image)))), [{}] * count
        tokens, positions = network._pos_embed(network.patch_embed(image))
        if positions is None:
            return network.norm_pre(tokens), [{}] * count
        each = positions if network.rope_mixed else [positions] * count
        return network.norm_pre(tokens), [dict(rope=rope) for rope in each]

    def normed(self, x: Tensor, index: int) -> Tensor:
        """``x`` after the final norm, which fits the features of stage ``index``."""
        return self.network.norm(x)

    def to_maps(self, x: Tensor, image: Tensor) -> Tensor:
        """Tokens ``[..., N, C]`` of ``image`` to ``[..., C, H, W]``."""
        height, width = image.shape[-2:]
        grid = self.network.patch_embed.dynamic_feat_size((height, width))
        return x[..., self.network.num_prefix_tokens :, :].unflatten(-2, grid).movedim(-1, -3)


class WindowedPyramid:
    """Maps ``[B, H, W, C]`` in stages (Swin v2)."""

    def __init__(self, network: SwinTransformerV2) -> None:
        self.network = network

    def stages(self) -> list[list[nn.Module]]:
        """See :class:`PlainTransformer`."""
        stages = [stage for stage in self.network.layers if isinstance(stage, SwinTransformerV2Stage)]
        return [[stage.downsample, *stage.blocks] for stage in stages]

    def embed(self, image: Tensor) -> tuple[Tensor, Sequence[Mapping]]:
        """See :class:`PlainTransformer`."""
        return self.network.patch_embed(image), [{}] * len(self.network.layers)

    def normed(self, x: Tensor, index: int) -> Tensor:
        """See :class:`PlainTransformer`; the norm fits the last stage only."""
        return self.network.norm(x) if index + 1 == len(self.network.layers) else x

    def to_maps(self, x: Tensor, image: Tensor) -> Tensor:
        """``[..., H, W, C]`` to ``[..., C, H, W]``."""
        return x.movedim(-1, -3)


FAMILIES: dict[type, Callable] = {
    VisionTransformer: PlainTransformer,
    Eva: PlainTransformer,
    SwinTransformerV2: WindowedPyramid,
}


def family_of(network: nn.Module) -> PlainTransformer | WindowedPyramid | None:
    """How to run ``network`` block by block; ``None`` where that is not known."""
    return next((family(network) for kind, family in FAMILIES.items() if isinstance(network, kind)), None)


# ---- roles ----------------------------------------------------------------------------------------------------------


def layers_with_roles(network: TimmNetwork, ends: Sequence[int]) -> Iterator[AdaptableLayer]:
    """The linear layers with a known role and the convolutions without groups, below timm's stages.

    Args:
        network: of timm.
        ends: indices of its features that are levels of the pyramid.
    """
    family = family_of(network)
    last_blocks = set() if family is None else {id(family.stages()[end][-1]) for end in ends}
    for index, info in enumerate(list(network.feature_info)[: ends[-1] + 1]):
        stage = next(level for level, end in enumerate(ends) if end >= index)
        last, begins = '', False
        for name, module in network.get_submodule(info['module']).named_modules(prefix=info['module']):
            if id(module) in last_blocks:
                last, begins = f'{name}.', lets_streams_begin(module)
            role = _role(name.rpartition('.')[2], module)
            if role is not None:
                parent, _, key = name.rpartition('.')
                in_last = bool(last) and name.startswith(last)
                starts = in_last and begins and role in ('proj', 'fc1', 'fc2')
                yield AdaptableLayer(network.get_submodule(parent), key, role, stage, starts, in_last)


def _role(name: str, module: nn.Module) -> str | None:
    if isinstance(module, nn.Linear):
        return ROLES.get(name)
    plain = isinstance(module, SlimLayer) or type(module).forward is nn.Conv2d.forward  # no standardised weights
    if isinstance(module, nn.Conv2d) and module.groups == 1 and plain:
        return ROLES.get(name, 'conv')
    return None
