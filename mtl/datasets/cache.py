"""Labels that are slow to read, kept as small files that are read quickly."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

# Raise it whenever the same source files give other maps.
FORMAT = 2


def state_of(sources: Sequence[Path]) -> str:
    """What changes when a file does: name, size in bytes and time of change of each, and :data:`FORMAT`."""
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return repr((FORMAT, states))


class LabelCache:
    """Maps ``[H, W]`` or ``[H, W, 3]`` uint8, one file a sample and name, each with the state of its sources.

    A file is a line of JSON (shape, state) and the bytes, compressed by zlib, which sums them: in a PNG file, undoing
    the prediction from neighbours takes twice as long as decompressing.

    A map whose sources have changed since is not used. Files appear whole or not at all, so that a cache may be
    filled by several processes, and filling may be interrupted.

    Args:
        root: folder of the cache; it need not exist.
        fill: write what was not there.
    """

    def __init__(self, root: Path, fill: bool = False) -> None:
        self.root, self.fill = root, fill
        self._stale_reported = False

    def path(self, name: str, sample_id: str) -> Path:
        """Where the map ``name`` of a sample lies."""
        return self.root / name / f'{sample_id}.map'

    def get(
        self, name: str, sample_id: str, sources: Sequence[Path], read: Callable[[str], np.ndarray | None]
    ) -> np.ndarray | None:
        """The map as it is cached, or else as ``read(sample_id)`` reads it from its ``sources``."""
        path, state = self.path(name, sample_id), state_of(sources)
        values = self._load(path, state)
        if values is None:
            values = read(sample_id)
            if self.fill and values is not None:
                self._store_or_warn(path, values, state)
        return values

    def _load(self, path: Path, state: str) -> np.ndarray | None:
        try:
            header, _, compressed = path.read_bytes().partition(b'\n')
            described = json.loads(header)
            if described['state'] == state:
                values = bytearray(zlib.decompress(compressed))  # an array of its own, to write to
                return np.frombuffer(values, np.uint8).reshape(described['shape'])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, zlib.error):
            pass  # a damaged file: as good as none, and replaced when the cache is filled
        self._report_stale(path)
        return None

    def _report_stale(self, path: Path) -> None:
        if not self.fill and not self._stale_reported:
            self._stale_reported = True
            print_log(
                f'The cached label {path} is damaged or older than its source, which is read instead (slower). Others '
                'may be, too; `python tools/prepare_data.py` brings the cache up to date.',
                'current',
            )

    def _store_or_warn(self, path: Path, values: np.ndarray, state: str) -> None:
        try:
            self._store(path, values, state)
        except OSError as error:  # a full disk or a folder of somebody else's must not stop the training
            self.fill = False
            print_log(f'Labels cannot be cached in {self.root} ({error}); they are read from their sources.', 'current')

    def _store(self, path: Path, values: np.ndarray, state: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps({'state': state, 'shape': values.shape}).encode()
        unfinished = path.with_name(f'.{path.name}.{os.getpid()}')
        try:
            unfinished.write_bytes(header + b'\n' + zlib.compress(np.ascontiguousarray(values)))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
