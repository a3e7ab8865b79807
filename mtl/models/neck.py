"""Between backbone and decoder: every level as the decoder asks for it, in plain tensors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from torch import Tensor, nn

from mtl.models.backbones.swin.merging_level import MergingLevel
from mtl.models.dense import Linear
from mtl.ops.linear import linear, with_each
from mtl.ops.low_rank_streams import LowRankStreams, norm_and_project
from mtl.ops.patch_merging import composing_pays, patches
from mtl.protocols import Decoder, DecoderInput, Projection
from mtl.structures import SHARED, BaseLevel, PyramidFeatures


def neck(features: PyramidFeatures, decoder: Decoder, tasks: Sequence[str]) -> DecoderInput:
    """What ``decoder`` takes of the pyramid.

    Most decoders begin with a linear map of every level to few channels. It is done here, because it can be done
    together with what a backbone has left undone: see :func:`project`. Nothing behind the neck knows how a backbone
    keeps its streams.

    Args:
        features: of the backbone.
        decoder: its :meth:`Decoder.wants` say which maps it wants, of which streams.
        tasks: those that run.
    """
    tasks = tuple(tasks)
    own = tuple(frozenset(task for task in tasks if level.has_own((task,))) for level in features.levels)
    wanted = decoder.wants(own, tasks)
    if wanted is None:
        names = (*tasks, SHARED) if decoder.reads_shared else tasks
        return DecoderInput(tuple({name: level.of(name) for name in names} for level in features.levels), own)
    return DecoderInput(tuple(map(project, features.levels, wanted)), own)


def project(level: BaseLevel, wanted: Mapping[Hashable, Projection]) -> dict[Hashable, Tensor]:
    """Linear maps of streams of a level, ``[S, B, H, W, out]`` each.

    Patch merging is a norm of 2 x 2 patches (``4 C``) followed by a linear map ``R`` to ``2 C``. Where task streams
    have not passed it yet, and a decoder begins with a linear map ``P`` to few channels, ``P (R n) = (P R) n``: one
    small product instead of a large and a small one. It is done so where it takes fewer multiplications.

    Args:
        level: of the backbone.
        wanted: by what the decoder calls them.
    """
    composed = {}
    if isinstance(level, MergingLevel):
        of_tasks = {key: each for key, each in wanted.items() if set(each.streams) <= set(level.tasks)}
        layer = level.merging.reduction
        reduction = layer.matrix() if of_tasks and isinstance(layer, Linear) else None
        if reduction is not None:
            n_merged, n_patch = reduction.shape
            rows = level.shared.numel() // n_merged
            composed = {
                key: _merge_and_project(level, each, reduction)
                for key, each in of_tasks.items()
                if composing_pays(rows, n_patch, n_merged, each.weights.shape[1])
            }
    return {key: composed[key] if key in composed else _project(level, each) for key, each in wanted.items()}


def _project(level: BaseLevel, wanted: Projection) -> Tensor:
    streams, weights = level.stacked(wanted.streams).permute(0, 1, 3, 4, 2), wanted.weights
    if streams.stride(0) == 0:  # one stream for all
        streams = streams[:1]
    return with_each(weights, streams.flatten(1, 3)).unflatten(1, streams.shape[1:4])


def _merge_and_project(level: MergingLevel, wanted: Projection, reduction: Tensor) -> Tensor:
    weights = linear(wanted.weights.flatten(0, 1), reduction.T).unflatten(0, wanted.weights.shape[:2])
    common, z, B = level.own.of([level.tasks.index(task) for task in wanted.streams])
    merged, norm = LowRankStreams(patches(common), patches(z), B), level.merging.norm
    assert isinstance(norm, nn.LayerNorm)
    return norm_and_project(merged, norm, weights).unflatten(1, (-1, *level.size))
