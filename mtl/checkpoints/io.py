"""Checkpoint files: written so that a kill leaves the previous one usable, read without running code from them."""

from __future__ import annotations

import logging
import zipfile
import zlib
from pathlib import Path
from pickle import UnpicklingError

import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log
from mmengine.runner.checkpoint import CheckpointLoader, get_torch_safe_globals

from mtl.checkpoints.finite import NotFiniteError, check_finite
from mtl.checkpoints.trust import trust_files
from mtl.checkpoints.weights_files import SUFFIX, read_weights_file
from mtl.errors import ExplainedError
from mtl.writing import write_atomically


class UntrustedCheckpointError(ExplainedError, RuntimeError):
    """A checkpoint that holds more than weights and plain numbers, from a place nobody vouched for."""


class DamagedCheckpointError(ExplainedError, RuntimeError):
    """A file whose bytes are not those of a checkpoint."""


class AtomicBackend(LocalBackend):
    """MMEngine's local files, written atomically; chosen by ``backend_args=dict(backend='atomic')``."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        write_atomically(filepath, obj.encode(encoding))


register_backend('atomic', AtomicBackend)


LEGACY_MAGIC = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'  # how torch's files began before 1.6


def check_whole(path: str | Path) -> None:
    """Read a file through and compare it with the checksums in it, which torch itself does not.

    Raises:
        DamagedCheckpointError: the file is not a checkpoint, or its bytes are not those that were written.
    """
    path = Path(path)
    with open(path, 'rb') as file:
        head = file.read(len(LEGACY_MAGIC))
    if head == LEGACY_MAGIC:  # holds no checksum
        return
    if not head:
        raise DamagedCheckpointError(f'{path} is empty: no checkpoint was written into it, or its disk was full.')
    if not head.startswith(b'PK'):
        raise DamagedCheckpointError(f'{path} is not a checkpoint: torch.save does not write such files.')
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise DamagedCheckpointError(f'{path} is damaged or cut off ({error}). Take another copy.') from error
    if damaged:
        raise DamagedCheckpointError(
            f'{path} is damaged: the bytes of {damaged} in it are not those that were written. Take another copy.'
        )
    if not any(name.endswith('/data.pkl') for name in names):
        raise DamagedCheckpointError(f'{path} is a ZIP file, but not a checkpoint: data.pkl is missing.')


def _existing(filename: str | Path) -> Path:
    path = Path(filename).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'There is no checkpoint {filename}.')
    return path


def load_weights_only(
    filename: str | Path, map_location: str | torch.device | None = None, mmap: bool | None = None
) -> dict:
    """Read a checkpoint without running code that is stored in it.

    Args:
        filename: file written by ``torch.save``, or a published ``.safetensors``.
        map_location, mmap: see ``torch.load``.

    Raises:
        FileNotFoundError: no such file.
        DamagedCheckpointError: see :func:`check_whole`.
        WeightsFileError: see :func:`mtl.checkpoints.weights_files.read_weights_file`.
        UntrustedCheckpointError: the file holds Python objects beyond those that MMEngine's checkpoints need.
    """
    path = _existing(filename)
    if path.suffix == SUFFIX:
        return read_weights_file(path)
    check_whole(path)
    try:
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            return torch.load(path, map_location=map_location, weights_only=True, mmap=mmap)
    except UnpicklingError as error:
        raise UntrustedCheckpointError(
            f'The checkpoint {filename} holds Python objects besides weights, and reading those could run any code. '
            f'If you know where the file comes from, add --trust. ({str(error).splitlines()[0]})'
        ) from error


def set_checkpoint_loading(trust: bool = False) -> None:
    """Decide how MMEngine reads checkpoint files from now on: weights only, or anything (``trust``).

    MMEngine's own loader falls back to unpickling anything where reading weights only fails. Trusted files may also
    import modules and build types of their own, see :mod:`mtl.checkpoints.config_text`.
    """
    trust_files(trust)

    def load_from_local(filename: str, map_location: str | torch.device | None = None) -> dict:
        if trust and Path(filename).suffix != SUFFIX:
            path = _existing(filename)
            check_whole(path)
            return torch.load(path, map_location=map_location, weights_only=False)
        return load_weights_only(filename, map_location)

    def load_from_http(filename: str, map_location: str | torch.device | None = None) -> dict:
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            return torch.hub.load_state_dict_from_url(filename, map_location=map_location, weights_only=not trust)

    CheckpointLoader.register_scheme('', load_from_local, force=True)
    CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)


set_checkpoint_loading()


def read_checkpoint(filename: str | Path) -> dict:
    """Read a checkpoint (a file or an address) to the CPU, as :func:`set_checkpoint_loading` last said.

    Raises:
        FileNotFoundError, DamagedCheckpointError, UntrustedCheckpointError: see :func:`load_weights_only`.
    """
    return CheckpointLoader.load_checkpoint(str(filename), map_location='cpu', logger='silent')


def newest_readable(work_dir: str | Path) -> Path | None:
    """The newest training checkpoint in ``work_dir`` that can be read, or ``None``.

    Raises:
        UntrustedCheckpointError: see :func:`load_weights_only`.
    """
    found = [path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in Path(work_dir).glob(pattern)]
    for path in sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            checkpoint = load_weights_only(path, map_location='cpu', mmap=True)
            check_finite(checkpoint.get('state_dict', {}), str(path), 'Nothing can go on from there.')
        except (RuntimeError, OSError, EOFError, NotFiniteError) as error:
            if isinstance(error, UntrustedCheckpointError):
                raise
            print_log(f'{path} cannot be read ({error}); trying the one before.', 'current', logging.WARNING)
        else:
            return path
    return None
