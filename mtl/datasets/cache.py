"""Labels that are slow to read, kept as small PNG files."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from PIL import Image, PngImagePlugin

# Raise it whenever the same source files give other maps.
FORMAT = 1


def state_of(sources: Sequence[Path]) -> str:
    """What changes when a file does: name, size in bytes and time of change of each, and :data:`FORMAT`."""
    states = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    return repr((FORMAT, states))


class LabelCache:
    """Maps ``[H, W]`` or ``[H, W, 3]`` uint8, one PNG file a sample and name, each with the state of its sources.

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
        return self.root / name / f'{sample_id}.png'

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
            with Image.open(path) as picture:
                if picture.info.get('state') == state:
                    values = np.array(picture)
                    if picture.info.get('crc') == _checksum(values):  # Pillow does not look at those of the file
                        return values
        except FileNotFoundError:
            return None
        except (
            OSError,
            SyntaxError,
            ValueError,
        ):  # a damaged file: as good as none, and replaced when the cache is filled
            pass
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
        text = PngImagePlugin.PngInfo()
        text.add_text('state', state)
        text.add_text('crc', _checksum(values))
        unfinished = path.with_name(f'.{path.name}.{os.getpid()}')
        try:
            Image.fromarray(values).save(unfinished, format='png', pnginfo=text, compress_level=4)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _checksum(values: np.ndarray) -> str:
    return str(zlib.crc32(np.ascontiguousarray(values).tobytes()))
