"""What an inferencer is given, one picture after the other: files, folders, patterns, videos, arrays."""

from __future__ import annotations

import glob
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log

from mtl.errors import ExplainedError
from mtl.files import read_picture, visible

IMAGES = ('.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')

Input = str | Path | np.ndarray


class InputError(ExplainedError, ValueError):
    """An input that cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Picture:
    """One picture, or why there is none.

    Args:
        name: unique among the inputs of a call; names output files.
        source: path, or ``'array 3'``.
        image: ``[H, W, 3]`` uint8 RGB; ``None`` where it cannot be read.
        fault: why it cannot be read, a sentence.
        video: path of the video that it is a frame of, and its frames a second.
    """

    name: str
    source: str
    image: np.ndarray | None = None
    fault: str = ''
    video: tuple[Path, float] | None = None


class Pictures:
    """Iterates over all pictures of some inputs, reading each when its turn comes.

    Args:
        inputs: an image file, a video file, a folder (its images), a glob pattern (``**`` goes into folders), an array
            ``[H, W, 3]`` or ``[H, W]`` uint8, or a sequence of these.
        channel_order: of arrays: ``'bgr'`` (as OpenCV and OpenMMLab have it) or ``'rgb'``.
        first_array: number in the name of the first array.

    Attributes:
        single: the input is one image file or one array.

    Raises:
        InputError: nothing to be found there, or an array of another kind.
    """

    def __init__(self, inputs: Input | Sequence[Input], channel_order: str = 'bgr', first_array: int = 0) -> None:
        if channel_order not in ('bgr', 'rgb'):
            raise InputError(f"channel_order must be 'bgr' or 'rgb'; found {channel_order!r}.")
        self.channel_order, self.first_array = channel_order, first_array
        many = isinstance(inputs, (list, tuple))
        self.items = [item for given in (inputs if many else [inputs]) for item in _expanded(given, many)]
        if not self.items:
            raise InputError('There is no input: the list is empty.')
        self.single = not many and len(self.items) == 1 and _is_one_image(inputs, self.items[0])
        self.arrays = sum(isinstance(item, np.ndarray) for item in self.items)

    def __len__(self) -> int:
        """Pictures, as far as videos say how many frames they have."""
        return sum(_frame_count(item) if _is_video(item) else 1 for item in self.items)

    def __iter__(self) -> Iterator[Picture]:
        named = _Names()
        arrays = self.first_array
        for item in self.items:
            if isinstance(item, np.ndarray):
                name, source = f'{arrays:08d}', f'array {arrays}'
                arrays += 1
                yield _picture(named(name), source, lambda item=item: as_rgb(item, self.channel_order))
            elif _is_video(item):
                yield from _frames(item, named(item.stem))
            else:
                yield _picture(named(item.stem), str(item), lambda item=item: read_image(item))


def _expanded(given: Input, many: bool) -> list[Path | np.ndarray]:
    """The files or the array that an input stands for."""
    if isinstance(given, np.ndarray):
        return [given]
    if not isinstance(given, (str, Path)):
        raise InputError(
            f'An input is a path, a pattern, an array, or a list of these; found a {type(given).__name__}.'
        )
    path = Path(given).expanduser()
    if path.is_dir():
        found = _images(path.iterdir())
        if not found:
            raise InputError(f'The folder {path} holds no image ({", ".join(IMAGES)}).')
        return found
    if path.exists():
        return [path]
    if re.search(r'[*?\[]', str(given)):
        matches = sorted(map(Path, glob.glob(str(path), recursive=True)), key=_natural)
        found = [match for match in matches if match.suffix.lower() in IMAGES + VIDEOS and match.is_file()]
        if not found:
            raise InputError(f'No image and no video matches {given}.')
        return found
    if many:
        return [path]  # a missing file among others is reported when its turn comes
    raise InputError(f'There is no file and no folder {given}.')


def _images(paths) -> list[Path]:
    return sorted((p for p in visible(paths) if p.suffix.lower() in IMAGES and p.is_file()), key=_natural)


def _natural(path: Path) -> list:
    """Sorts ``2.png`` before ``10.png``."""
    return [(int(part), '') if part.isdigit() else (-1, part) for part in re.split(r'(\d+)', str(path))]


def _is_video(item: Path | np.ndarray) -> bool:
    return isinstance(item, Path) and item.suffix.lower() in VIDEOS


def _is_one_image(given: Input, item: Path | np.ndarray) -> bool:
    return isinstance(given, np.ndarray) or (not _is_video(item) and Path(given).expanduser() == item)


class _Names:
    """Makes names unique: ``street``, ``street_1`` ..."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    def __call__(self, wanted: str) -> str:
        name, number = wanted, 0
        while name in self.given:
            number += 1
            name = f'{wanted}_{number}'
        self.given.add(name)
        return name


def _picture(name: str, source: str, read: Callable[[], np.ndarray]) -> Picture:
    try:
        return Picture(name, source, read())
    except InputError as error:
        return Picture(name, source, fault=str(error))


def read_image(path: Path) -> np.ndarray:
    """An image file as RGB uint8 ``[H, W, 3]``, see :func:`mtl.files.read_picture`.

    Raises:
        InputError: there is no such file, or it is broken.
    """
    if not path.is_file():
        raise InputError(f'There is no file {path}.')
    try:
        return read_picture(path)
    except Exception as error:  # PIL raises kinds of its own for broken files
        raise InputError(f'{path} cannot be read as an image ({type(error).__name__}: {error}).') from error


def as_rgb(image: np.ndarray, channel_order: str) -> np.ndarray:
    """An array as RGB uint8 ``[H, W, 3]``; grey becomes colour, an alpha channel is dropped.

    Raises:
        InputError: another shape or type.
    """
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or channels not in (1, 3, 4) or not image.size:
        raise InputError(
            f'An image array is [H, W, 3] (or [H, W], or [H, W, 4]) of uint8, 0 to 255; found {list(image.shape)} of '
            f'{image.dtype}.'
        )
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    image = image[..., :3]
    return np.ascontiguousarray(image[..., ::-1] if channel_order == 'bgr' else image)


def _frame_count(path: Path) -> int:
    video = cv2.VideoCapture(str(path))
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 1
    video.release()
    return max(count, 1)


def _frames(path: Path, name: str) -> Iterator[Picture]:
    """The frames of a video, named by their number; a video that breaks off is reported."""
    video = cv2.VideoCapture(str(path))
    try:
        if not path.is_file() or not video.isOpened():
            reason = 'cannot be read as a video' if path.is_file() else 'does not exist'
            yield Picture(name, str(path), fault=f'{path} {reason}.')
            return
        expected = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        rate = video.get(cv2.CAP_PROP_FPS) or 25.0
        number = 0
        while True:
            there, frame = video.read()
            if not there:
                break
            yield Picture(f'{name}_{number:06d}', f'{path} frame {number}', as_rgb(frame, 'bgr'), video=(path, rate))
            number += 1
        if number == 0:
            yield Picture(name, str(path), fault=f'{path} holds no frame that can be read.')
        elif number < expected:
            message = f'{path} breaks off: {number} of {expected} frames could be read.'
            print_log(message, 'current', logging.WARNING)
    finally:
        video.release()
