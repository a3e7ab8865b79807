"""Names of a Swin's parameters: those of the original release, of timm, and ours.

======================  =====================================  ======================================  =============
what                    original release                       timm                                    ours
======================  =====================================  ======================================  =============
patch merging           ends stage ``i``:                      starts stage ``i + 1``:                 as timm
                        ``layers.i.downsample``                ``layers.(i+1).downsample``
last block of a stage   ``layers.i.blocks.j.``                 ``layers.i.blocks.j.``                  ``...j.block.``
its projection          ``layers.i.blocks.j.attn.proj.``       ``layers.i.blocks.j.attn.proj.``        ``...j.proj.``
======================  =====================================  ======================================  =============
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from mtl.errors import ExplainedError

KNOWN = re.compile(
    r'patch_embed\.(proj|norm)\.(weight|bias)'
    r'|layers\.\d+\.downsample\.(reduction\.weight|norm\.(weight|bias))'
    r'|layers\.\d+\.blocks\.\d+\.(norm1|norm2|attn\.qkv|attn\.proj|mlp\.fc1|mlp\.fc2)\.(weight|bias)'
    r'|layers\.\d+\.blocks\.\d+\.attn\.relative_position_bias_table'
)
DROPPED = {
    r'head\..*': 'the classifier has no use in dense prediction',
    r'norm\.(weight|bias)': 'the final norm stands before the classifier: no level of the pyramid passes it',
    r'.*\.(attn_mask|attn\.relative_position_index)': 'computed from the sizes of the model',
}


class UnknownKeyError(ExplainedError, ValueError):
    """Keys that belong to no part of the network a checkpoint is converted to."""

    def __init__(self, keys: Iterable[str], kind: str) -> None:
        keys = sorted(keys)
        super().__init__(
            f'{len(keys)} keys belong to no part of {kind}: {", ".join(keys[:5])}{" ..." if len(keys) > 5 else ""}. '
            'Is it a checkpoint of another kind of network?'
        )


@dataclass
class Renamed:
    """A converted state dict.

    Args:
        state: the tensors under their new names.
        dropped: keys that were left out, with the reason.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)


def to_timm_names(state: Mapping[str, Tensor]) -> Renamed:
    """Names of a bare Swin (original release, timm, or ours within ``backbone.swin.``) to timm's.

    Raises:
        UnknownKeyError: a key that is none of a Swin.
    """
    if any(key.startswith('backbone.swin.') for key in state):
        return Renamed(
            {ours_to_timm(k.removeprefix('backbone.swin.')): v for k, v in state.items() if 'backbone.swin.' in k}
        )
    merging_ends_stage = is_original_release(state)
    renamed, unknown = Renamed(), []
    for key, value in state.items():
        reason = drop_reason(key)
        if reason is not None:
            renamed.dropped[key] = reason
        elif KNOWN.fullmatch(key):
            renamed.state[merging_to_next_stage(key) if merging_ends_stage else key] = value
        else:
            unknown.append(key)
    if unknown:
        raise UnknownKeyError(unknown, 'a Swin backbone')
    return renamed


def is_original_release(keys: Iterable[str]) -> bool:
    """Whether patch merging ends a stage, as in Swin's own files and in MTLoRA's."""
    return any(key.startswith('layers.0.downsample.') for key in keys)


def drop_reason(key: str) -> str | None:
    """Why a key of a Swin is not needed; ``None`` if it is, or if it is none of a Swin."""
    return next((reason for pattern, reason in DROPPED.items() if re.fullmatch(pattern, key)), None)


def merging_to_next_stage(key: str) -> str:
    """``layers.0.downsample...`` to ``layers.1.downsample...``; other keys as they are."""
    return re.sub(r'^layers\.(\d+)\.downsample', lambda match: f'layers.{int(match[1]) + 1}.downsample', key)


def depths(keys: Iterable[str]) -> dict[int, int]:
    """Number of blocks of each stage, from names of parameters."""
    found: dict[int, int] = {}
    for key in keys:
        if match := re.match(r'layers\.(\d+)\.blocks\.(\d+)\.', key):
            stage, block = int(match[1]), int(match[2])
            found[stage] = max(found.get(stage, 0), block + 1)
    return dict(sorted(found.items()))


def timm_to_ours(key: str, depth: Mapping[int, int]) -> str:
    """timm's name to that in ``SwinBackbone.swin``, where a stage's last block has its projection taken out."""
    match = re.fullmatch(r'(layers\.(\d+)\.blocks\.(\d+))\.(.*)', key)
    if match is None or int(match[3]) != depth[int(match[2])] - 1:
        return key
    block, rest = match[1], match[4]
    return f'{block}.{rest.removeprefix("attn.")}' if rest.startswith('attn.proj.') else f'{block}.block.{rest}'


def ours_to_timm(key: str) -> str:
    """The inverse of :func:`timm_to_ours`."""
    key = re.sub(r'^(layers\.\d+\.blocks\.\d+)\.proj\.', r'\1.attn.proj.', key)
    return re.sub(r'^(layers\.\d+\.blocks\.\d+)\.block\.', r'\1.', key)
