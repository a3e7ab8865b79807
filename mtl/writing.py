"""Writing files: whole or not at all, and never without noticing that it failed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import torch

from mtl.errors import FileError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that at every moment either its old or its new content is there, whole.

    The data reach the disk under another name first, of this process alone; renaming is atomic. What a process that was
    killed has left of the same file is removed.

    Raises:
        OSError: the disk is full, or may not be written to; the message names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with open(temporary, 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, f'{error.strerror} (writing {len(data) / 2**20:.1f} MiB)', str(path)) from error
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name itself must survive a power cut, too
    finally:
        os.close(folder)


def _remove_leftovers(path: Path) -> None:
    for left in path.parent.glob(f'.{_escaped(path.name)}.*.tmp'):
        process = left.name.split('.')[-2]
        if process.isdigit() and not _is_alive(int(process)):
            left.unlink(missing_ok=True)


def _escaped(name: str) -> str:
    return ''.join(f'[{c}]' if c in '*?[' else c for c in name)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def write_text(path: str | Path, text: str) -> None:
    """See :func:`write_atomically`."""
    write_atomically(path, text.encode())


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """A picture, BGR or grey as OpenCV has it, in the format of the file's suffix; see :func:`write_atomically`.

    Raises:
        ValueError: OpenCV cannot make such a file of it.
    """
    try:
        done, data = cv2.imencode(Path(path).suffix, picture)
    except cv2.error as error:
        raise FileError(f'{path} cannot be written as a picture: {error.err}.') from error
    if not done:
        raise FileError(f'{path} cannot be written as a picture of shape {list(picture.shape)}.')
    write_atomically(path, data.tobytes())


def write_array(path: str | Path, values: np.ndarray) -> None:
    """An array as ``.npy``, see :func:`write_atomically`."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    write_atomically(path, buffer.getvalue())


def write_checkpoint(path: str | Path, checkpoint: dict) -> None:
    """``torch.save``, see :func:`write_atomically`."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomically(path, buffer.getvalue())
