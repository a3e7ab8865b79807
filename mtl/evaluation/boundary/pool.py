"""Counting many images at once: a pool of processes, and a cache that makes an interrupted evaluation resumable."""

from __future__ import annotations

import hashlib
import io
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mtl.errors import FileError
from mtl.evaluation.boundary.counts import count_image
from mtl.evaluation.boundary.files import Truth, read_prediction, read_truth, white_is_unknown
from mtl.evaluation.boundary.recipes import Recipe
from mtl.workers import depend_on_parent
from mtl.writing import write_atomically

_CACHE_VERSION = b'1'  # to be raised when counts change for equal inputs


@dataclass(frozen=True)
class Protocol:
    """All that the counts of an image depend on besides the image.

    Args:
        recipe: see :mod:`mtl.evaluation.boundary.recipes`.
        max_dist: tolerance as a share of the image diagonal.
        thresholds: increasing; the recipe's own for ``None``.
        cache: folder where counts are kept, by the content they were computed from; ``None`` keeps none.
    """

    recipe: Recipe
    max_dist: float
    thresholds: tuple[float, ...] | None = None
    cache: Path | None = None

    @property
    def used_thresholds(self) -> tuple[float, ...]:
        """The thresholds ``[T]`` in use."""
        return self.recipe.thresholds if self.thresholds is None else self.thresholds

    def __str__(self) -> str:
        return f'recipe {self.recipe.name}, max_dist {self.max_dist:g}, {len(self.used_thresholds)} thresholds'

    def count(self, prediction: np.ndarray, truth: Truth) -> np.ndarray:
        """:func:`count_image`, from the cache where it has been computed before."""
        path = None if self.cache is None else self.cache / f'{self._key(prediction, truth)}.npz'
        counts = None if path is None else self._kept(path)
        if counts is not None:
            return counts
        counts = count_image(
            prediction, truth.maps, self.recipe, self.max_dist, self.used_thresholds, valid=truth.valid
        )
        if path is not None:
            content = io.BytesIO()
            np.savez(content, counts=counts)  # with a checksum, which reading compares
            write_atomically(path, content.getvalue())
        return counts

    def _kept(self, path: Path) -> np.ndarray | None:
        """Counts from the cache; ``None`` where there are none, or damaged ones, which are counted anew."""
        try:
            with np.load(path) as content:
                counts = content['counts']
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged header makes NumPy raise what Python's parser raises
            print_log(f'{path} is damaged ({error}); its image is counted again.', 'current', logging.WARNING)
            return None
        wanted = (len(self.used_thresholds), 4)
        if counts.shape != wanted or counts.dtype.kind not in 'iu':
            print_log(f'{path} holds no counts; its image is counted again.', 'current', logging.WARNING)
            return None
        return counts

    def count_files(self, prediction: Path, truth: Path, white_is_unknown: bool | None = None) -> np.ndarray:
        """:meth:`count` of files; see :func:`mtl.evaluation.boundary.files.read_truth`.

        Raises:
            ValueError: the maps differ in size, or a file is not what it should be.
        """
        strengths, known = read_prediction(prediction), read_truth(truth, white_is_unknown)
        for known_map in known.maps:
            if known_map.shape != strengths.shape:
                raise FileError(
                    f'{prediction} has size {strengths.shape}, but its ground truth {truth} has {known_map.shape}. '
                    'Boundaries are evaluated at the original resolution of the image.'
                )
        return self.count(strengths, known)

    def _key(self, prediction: np.ndarray, truth: Truth) -> str:
        digest = hashlib.blake2b(_CACHE_VERSION, digest_size=20)
        digest.update(repr((self.recipe, self.max_dist, self.used_thresholds)).encode())
        for array in (prediction, *truth.maps, *(() if truth.valid is None else (truth.valid,))):
            digest.update(repr((array.shape, array.dtype.str)).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def default_workers() -> int:
    """The cores of this machine, shared fairly among the processes that torchrun started on it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return max(1, cores // int(os.environ.get('LOCAL_WORLD_SIZE', '1')))


def open_pool(workers: int) -> Executor:
    """A pool of processes that do not inherit the state (threads, accelerators) of this one."""
    if 'forkserver' in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context('forkserver')
        context.set_forkserver_preload(['mtl.evaluation.boundary.pool'])  # imported once, not once a worker
    else:
        context = multiprocessing.get_context('spawn')
    return ProcessPoolExecutor(workers, mp_context=context, initializer=depend_on_parent)


def count_all(protocol: Protocol, pairs: Sequence[tuple[Path, Path]], workers: int) -> Iterator[tuple[int, np.ndarray]]:
    """``(index, counts [T, 4])`` of pairs of files as they become ready, in any order.

    An interruption cancels what has not begun; what is done is in the protocol's cache. One worker is this process.
    """
    white = white_is_unknown(truth for _, truth in pairs)
    if workers == 1:
        yield from ((index, protocol.count_files(*pair, white)) for index, pair in enumerate(pairs))
        return
    with open_pool(workers) as pool:
        futures = {pool.submit(protocol.count_files, *pair, white): index for index, pair in enumerate(pairs)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
