"""Checkpoints of the published MTLoRA code (github.com/scale-lab/MTLoRA), in our names.

Its network is Swin's original release plus, in every adapted layer, ``linear.weight`` for ``weight`` and

==========================  ===========================
published                   ours
==========================  ===========================
``lora_shared_A``           ``shared.A`` (and ``B``)
``lora_tasks_A.<task>``     ``tasks.<task>.A`` (and ``B``)
``lora_norm.weight``        ``norm.weight`` (and ``bias``)
``lora_shared_scale``       ``shared.scale``
``lora_task_scale.<task>``  ``tasks.<task>.scale``
==========================  ===========================

and, a task, ``downsampler.<task>.downsample_<level>`` (our ``decoder.decoders.<task>.projections.<level>``) and
``decoders.decoders.<task>.last_layer.<0 convolution | 1 norm | 3 classifier>``.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from mtl.checkpoints import swin_keys
from mtl.checkpoints.swin_keys import Renamed, UnknownKeyError

ADAPTED = re.compile(r'(?P<layer>.*\.(?:qkv|proj|fc1|fc2|reduction))\.(?P<part>linear\.|lora_)(?P<rest>.*)')
HEAD = {'0': 'decoder.decoders.{}.fuse', '1': 'decoder.decoders.{}.norm', '3': 'heads.{}'}


def convert_mtlora(state: Mapping[str, Tensor], rename_tasks: Mapping[str, str] | None = None) -> Renamed:
    """A published state dict in the names of :class:`mtl.models.MultiTaskModel`.

    Args:
        state: of the whole network, or of its backbone alone (without ``backbone.``); of any size, for any tasks.
        rename_tasks: new name by published name, e.g. ``{'sal': 'saliency'}``.

    Raises:
        UnknownKeyError: a key that belongs to no part of the published network, or a task that is to be renamed but
            does not occur.
    """
    state = {key.removeprefix('module.'): value for key, value in state.items()}
    if not any(key.startswith('backbone.') for key in state):
        state = {f'backbone.{key}': value for key, value in state.items()}
    tasks = _task_names(state)
    missing = set(rename_tasks or {}) - set(tasks)
    if missing:
        raise ValueError(
            f'--rename-task {", ".join(sorted(missing))}: the checkpoint has no such task; it has {", ".join(tasks)}.'
        )
    new_names = {task: (rename_tasks or {}).get(task, task) for task in tasks}
    depth = swin_keys.depths(key.removeprefix('backbone.') for key in state)
    renamed, unknown = Renamed(), []
    for key, value in state.items():
        backbone_key = key.removeprefix('backbone.')
        reason = swin_keys.drop_reason(backbone_key) if key.startswith('backbone.') else None
        if reason is None and key.endswith('.lora_shared_scale') and not _has_shared(key, state):
            reason = 'mode addition has no shared factors that it could scale'
        if reason is not None:
            renamed.dropped[key] = reason
            continue
        found = _backbone(backbone_key, new_names, depth) if key != backbone_key else _decoder(key, new_names)
        if not found:
            unknown.append(key)
        renamed.state.update(dict.fromkeys(found, value))
    if unknown:
        raise UnknownKeyError(unknown, 'the published MTLoRA network')
    return renamed


def _task_names(state: Mapping[str, Tensor]) -> list[str]:
    """Tasks in the order in which the network lists them."""
    pattern = re.compile(r'.*\.lora_tasks_A\.(.+)|downsampler\.(.+)\.downsample_\d\..*|decoders\.decoders\.(.+?)\..*')
    found = (pattern.fullmatch(key) for key in state)
    return list(dict.fromkeys(next(filter(None, match.groups())) for match in found if match))


def _has_shared(key: str, state: Mapping[str, Tensor]) -> bool:
    return f'{key.removesuffix("scale")}A' in state


def _backbone(key: str, tasks: Mapping[str, str], depth: Mapping[int, int]) -> list[str]:
    """New names (one, or none if unknown) of a key of the backbone."""
    match, base = ADAPTED.fullmatch(key), key
    if match:
        suffix = match['rest'] if match['part'] == 'linear.' else _factor(match['rest'], tasks)
        base = f'{match["layer"]}.weight'
        key = f'{match["layer"]}.{suffix}'
        if suffix is None or (match['part'] == 'linear.' and not swin_keys.KNOWN.fullmatch(key)):
            return []
    if not swin_keys.KNOWN.fullmatch(base):
        return []
    return [f'backbone.swin.{swin_keys.timm_to_ours(swin_keys.merging_to_next_stage(key), depth)}']


def _factor(rest: str, tasks: Mapping[str, str]) -> str | None:
    """``shared_A`` to ``shared.A``, ``tasks_A.sal`` to ``tasks.saliency.A`` and so on."""
    if match := re.fullmatch(r'shared_(A|B|scale)|norm\.(weight|bias)', rest):
        return f'shared.{match[1]}' if match[1] else rest
    if match := re.fullmatch(r'(?:tasks_(A|B)|task_(scale))\.(.+)', rest):
        return f'tasks.{tasks.get(match[3], match[3])}.{match[1] or match[2]}'
    return None


def _decoder(key: str, tasks: Mapping[str, str]) -> list[str]:
    """New names of a key outside the backbone: several where all tasks share the published projections."""
    if match := re.fullmatch(r'downsampler\.(?:(.+)\.)?downsample_(\d)\.weight', key):
        owners = tasks.values() if match[1] is None else [tasks[match[1]]]
        return [f'decoder.decoders.{task}.projections.{match[2]}.weight' for task in owners]
    if match := re.fullmatch(
        r'decoders\.decoders\.(.+)\.last_layer\.(?:([013])\.(weight|bias)|(1)\.(running_mean|running_var|num_batches_tracked))',
        key,
    ):
        module = HEAD[match[2] or match[4]].format(tasks[match[1]])
        return [f'{module}.{match[3] or match[5]}']
    return []


def convert_swin(state: Mapping[str, Tensor], original: bool) -> Renamed:
    """A bare Swin, of the original release or timm's, in our names.

    Raises:
        UnknownKeyError: a key that is none of a Swin.
        ValueError: the file is of the other kind.
    """
    if len(swin_keys.depths(state)) > 1 and swin_keys.is_original_release(state) != original:
        found, asked = ('swin', 'timm') if not original else ('timm', 'swin')
        raise ValueError(f'by its patch merging this is a checkpoint of kind {found}, not {asked}.')
    renamed = swin_keys.to_timm_names(state)
    depth = swin_keys.depths(renamed.state)
    ours = {f'backbone.swin.{swin_keys.timm_to_ours(key, depth)}': value for key, value in renamed.state.items()}
    return Renamed(ours, renamed.dropped)


# ---- the config that a published checkpoint brings along ----------------------------------------------------------

# yacs keeps a config in a dict of its own class: made a plain one when read, without yacs and without its code
_PlainConfig = type('CfgNode', (), {'__module__': 'yacs.config', '__new__': lambda cls: OrderedDict()})


@contextmanager
def reading_published_configs() -> Iterator[None]:
    """Within, weights-only loading takes the ``yacs`` configs in published checkpoints for plain dicts."""
    with torch.serialization.safe_globals([_PlainConfig]):
        yield


def published_options(
    backbone: dict,
    state: Mapping[str, Tensor],
    config: Mapping | None = None,
    rename_tasks: Mapping[str, str] | None = None,
) -> dict:
    """Add to a description of a converted backbone what its weights alone do not tell.

    Args:
        backbone: see :func:`mtl.checkpoints.describe.describe_backbone`.
        state: the published state dict: its attention masks tell the image size.
        config: the config stored with it, if any: it tells mode, scales and dropouts.
        rename_tasks: see :func:`convert_mtlora`.
    """
    masks = [value for key, value in state.items() if re.fullmatch(r'(.*\.)?layers\.0\.blocks\.\d+\.attn_mask', key)]
    if masks:
        windows = math.isqrt(len(masks[0]))  # along a side of a square image
        backbone = {'img_size': windows * backbone['window_size'] * backbone['patch_size'], **backbone}
    if config and 'adapters' in backbone:
        told = config['MODEL']['MTLORA']
        task_scale = [
            {(rename_tasks or {}).get(task, task): scale for task, scale in scales.items()}
            for scales in told['SCALE_PER_TASK_LIST']
        ]
        options = dict(
            mode=told['SHARED_MODE'],
            scale=list(told['SHARED_SCALE']),
            task_scale=task_scale,
            dropout=list(told['DROPOUT']),
        )
        backbone = {**backbone, 'adapters': {**backbone['adapters'], **options}}
    return backbone
