"""The config of a backbone, read off the names and shapes of its weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from mtl.checkpoints import swin_keys

TARGETS = ('qkv', 'proj', 'fc1', 'fc2', 'reduction')  # layers that may have adapters
FACTOR = re.compile(rf'layers\.(?P<stage>\d+)\..*\.(?P<target>{"|".join(TARGETS)})\.(?:shared|tasks\.(?P<task>.+))\.A')
PREFIX = 'backbone.swin.'


def describe_backbone(state: Mapping[str, Tensor]) -> dict:
    """Arguments of :class:`mtl.models.backbones.SwinBackbone` that fit ``state``.

    Not in a state dict, and thus not in the result: the image size, fixed scales, dropouts, ``base_input``, and
    whether the mode is `matrix` or `matrixv2`.

    Args:
        state: weights under the names of a :class:`mtl.models.MultiTaskModel`.
    """
    swin = {swin_keys.ours_to_timm(k.removeprefix(PREFIX)): v for k, v in state.items() if k.startswith(PREFIX)}
    depth = swin_keys.depths(swin)
    tables = [swin[f'layers.{stage}.blocks.0.attn.relative_position_bias_table'] for stage in depth]
    description = dict(
        patch_size=swin['patch_embed.proj.weight'].shape[-1],
        embed_dim=swin['patch_embed.proj.weight'].shape[0],
        depths=tuple(depth.values()),
        num_heads=tuple(table.shape[1] for table in tables),
        window_size=max((math.isqrt(len(table)) + 1) // 2 for table in tables),
    )
    adapters = _describe_adapters(swin, len(depth))
    return {**description, 'adapters': adapters} if adapters else description


def _describe_adapters(swin: Mapping[str, Tensor], stages: int) -> dict | None:
    targets, rank = set(), [0] * stages
    task_rank: list[dict[str, int]] = [{} for _ in range(stages)]
    for key, value in swin.items():
        if match := FACTOR.fullmatch(key):
            targets.add(match['target'])
            stage = int(match['stage']) - (match['target'] == 'reduction')  # merging belongs to the stage it ends
            if match['task'] is None:
                rank[stage] = len(value)
            else:
                task_rank[stage][match['task']] = len(value)
    if not targets:
        return None
    tasks = list(dict.fromkeys(task for ranks in task_rank for task in ranks))
    by_stage = [_one_if_equal([ranks.get(task, 0) for task in tasks], tasks) for ranks in task_rank]
    adapters = dict(
        type='MTLoRA',
        rank=_one_if_equal(rank),
        task_rank=_one_if_equal(by_stage),
        targets=tuple(target for target in TARGETS if target in targets),
    )
    if any(re.fullmatch(r'.*\.(proj|fc1|fc2)\.norm\.weight', key) for key in swin):
        adapters['mode'] = 'addition'
    for option, pattern in (
        ('trainable_scale', r'.*\.shared\.scale'),
        ('trainable_task_scale', r'.*\.tasks\..+\.scale'),
    ):
        if any(re.fullmatch(pattern, key) for key in swin):
            adapters[option] = True
    return adapters


def _one_if_equal(values: list, names: Iterable[str] | None = None) -> object:
    """The value they all have; else the list, or the values by ``names``."""
    if not values:
        return 0
    if all(value == values[0] for value in values):
        return values[0]
    return values if names is None else dict(zip(names, values, strict=True))
