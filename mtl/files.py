"""The one reader of pictures and the one reader of maps, for training, test, inference, evaluation and preparation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image, ImageOps
from scipy.io import loadmat
from skimage.morphology import thin

from mtl.errors import FileError

IGNORE = 255
NO_NORMAL = 128  # the byte whose vector is (nearly) zero
MAX_PIXELS = 80_000_000  # of a picture; known from its header, before anything is decoded


# ---- pictures -----------------------------------------------------------------------------------------------------


def open_picture(path: Path) -> Image.Image:
    """A picture file, opened but not decoded.

    Raises:
        ValueError: it has more pixels than :data:`MAX_PIXELS`.
        OSError: it is none that Pillow reads.
    """
    picture = Image.open(path)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise ValueError(f'it has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are read')
    return picture


def read_picture(path: Path) -> np.ndarray:
    """A photograph as RGB uint8 ``[H, W, 3]``: upright as its camera says (EXIF), of any depth and kind of colour.

    Samples of 16 bits are scaled to 8 (65535 becomes 255), floats from 0 to 1 to bytes; one bit is black and white;
    grey, palette and CMYK become RGB; an alpha channel is dropped. Of several frames the first is read.

    Raises:
        ValueError: too many pixels, or numbers whose scale nobody can know.
        OSError: it is not a picture, or it is damaged.
    """
    with open_picture(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode == 'F' or upright.mode.startswith('I'):
            return np.repeat(_bytes_of_grey(np.asarray(upright))[..., None], 3, axis=2)
        return np.asarray(upright.convert('RGB'))


def _bytes_of_grey(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 bits or floats as uint8."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if values.dtype.kind in 'iu' and low >= 0 and high <= 65535:
        return ((values.astype(np.int64) + 128) // 257).astype(np.uint8)
    if values.dtype.kind == 'f' and low >= 0 and high <= 1:
        return (np.where(np.isfinite(values), values, 0) * 255).round().astype(np.uint8)
    raise ValueError(
        f'its grey values of {values.dtype} go from {low:g} to {high:g}; expected 0 to 65535 (16 bits) or 0 to 1 '
        '(floats)'
    )


# ---- maps ---------------------------------------------------------------------------------------------------------


def read_map(path: Path) -> np.ndarray:
    """A map as it is stored, ``[H, W]`` or ``[H, W, C]``.

    Pictures give their numbers: a palette image its indices, one bit 0 and 1 (a boolean array). Like photographs, they
    are turned upright. An alpha channel is dropped. ``.npy`` gives its array, ``.npz`` its only one; a last axis of
    length 1 is dropped.

    Raises:
        ValueError: no map.
        OSError: a file that cannot be read.
    """
    if path.suffix in ('.npy', '.npz'):
        values = _read_array(path)
    else:
        with open_picture(path) as picture:
            upright = ImageOps.exif_transpose(picture)
            if upright.mode in ('PA', 'CMYK', 'YCbCr', 'LAB', 'HSV'):
                upright = upright.convert('RGB')
            values = np.array(upright)
            if upright.mode in ('LA', 'La', 'RGBA', 'RGBa', 'RGBX'):
                values = values[..., :-1]
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or not values.size or values.dtype.kind not in 'biuf':
        raise ValueError(
            f'it holds an array of shape {list(values.shape)} of {values.dtype}; expected numbers, [H, W] or [H, W, 3]'
        )
    return values


def one_channel(values: np.ndarray) -> np.ndarray:
    """Three equal channels, as programs write grey pictures, are one; so is a batch of one, ``[1, H, W]`` of floats."""
    if values.ndim == 3 and values.shape[2] == 3 and (values == values[..., :1]).all():
        return values[..., 0]
    return values[0] if values.ndim == 3 and values.shape[0] == 1 and values.dtype != np.uint8 else values


def _read_array(path: Path) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged header makes NumPy raise what Python's parser raises
        reason = str(error) or 'the file ends too early'
        raise ValueError(f'it is not a complete NumPy array ({type(error).__name__}: {reason})') from error
    if isinstance(content, np.ndarray):
        return content
    with content:
        if len(content.files) != 1:
            raise ValueError(f'it holds {len(content.files)} arrays ({", ".join(content.files)}); expected one')
        try:
            return content[content.files[0]]
        except Exception as error:  # as above
            raise ValueError(f'its array is damaged ({type(error).__name__}: {error})') from error


def class_ids(values: np.ndarray) -> np.ndarray:
    """Class ids ``[H, W]`` as uint8, checked before the cast.

    Raises:
        ValueError: colours instead of ids, fractions, or a number that a byte cannot hold.
    """
    values = one_channel(values)
    if values.ndim != 2:
        raise ValueError(
            'it is a picture of colours, not of class ids. Say which colour means which class: '
            'dict(path=..., colours={(r, g, b): class, ...})'
        )
    if values.dtype.kind == 'f' and (not np.isfinite(values).all() or (values != np.round(values)).any()):
        raise ValueError('it holds numbers that are not class ids (fractions, inf or NaN)')
    if values.dtype != np.uint8 and ((values < 0) | (values > 255)).any():
        wrong = np.unique(values[(values < 0) | (values > 255)])[:4]
        raise ValueError(
            f'it holds {", ".join(f"{value:g}" for value in wrong)}; class ids are 0 to 254, and 255 is unknown. '
            f'Exchange numbers with dict(path=..., values={{{wrong[0]:g}: 255}})'
        )
    return values.astype(np.uint8)


def mask(values: np.ndarray) -> np.ndarray:
    """A mask ``[H, W]`` uint8 of 0 and 1, from one that is stored as 0 and 1, or as 0 to 255 (from 128 on: 1).

    Raises:
        ValueError: several channels, or numbers that are neither.
    """
    values = one_channel(values)
    if values.ndim != 2:
        raise ValueError('it has several channels; expected a mask of one')
    finite = values[np.isfinite(values)]
    high = finite.max() if finite.size else 0
    if finite.size and (finite.min() < 0 or high > 255):
        raise ValueError(f'it goes from {finite.min():g} to {high:g}; a mask is 0 and 1, or 0 to 255')
    return (values > (0.5 if high <= 1 else 127)).astype(np.uint8)


def probabilities(values: np.ndarray) -> np.ndarray:
    """Probabilities ``[H, W]`` float32, from floats of 0 to 1, or from integers of 8 or 16 bits.

    Booleans, and integers that are 0 and 1 only, are certain. Otherwise bytes are divided by 255, those of 16 bits by
    65535.

    Raises:
        ValueError: several channels, or numbers outside their range.
    """
    values = one_channel(values)
    if values.ndim != 2:
        raise ValueError(f'expected one map [H, W]; found an array of shape {list(values.shape)}')
    if values.dtype.kind in 'biu' and values.min() >= 0 and values.max() <= 1:
        return values.astype(np.float32)
    if values.dtype in (np.uint8, np.uint16):
        return values / np.float32(np.iinfo(values.dtype).max)
    low, high = values.min(), values.max()  # NaN where one is
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f'expected probabilities in [0, 1], or integers of 8 or 16 bits; found {values.dtype} from {low:g} to '
            f'{high:g}. Apply the sigmoid before writing, or divide by the largest value that can occur'
        )
    return values.astype(np.float32)


def exchanged(values: np.ndarray, meant: Mapping[int, float]) -> np.ndarray:
    """``values`` with each stored number replaced by what it means; the others stay."""
    source = values.astype(np.uint8) if values.dtype == bool else values
    wide = np.int64 if source.dtype.kind in 'iu' and all(float(v).is_integer() for v in meant.values()) else np.float64
    result = source.astype(wide)
    for stored, new in meant.items():
        result[source == stored] = new
    return result


def classes_of_colours(values: np.ndarray, meant: Mapping[Sequence[int], int]) -> np.ndarray:
    """Class ids ``[H, W]`` of a picture in which colours stand for classes.

    Args:
        values: ``[H, W, 3]`` uint8 RGB; ``[H, W]`` counts as grey.
        meant: ``{(r, g, b): class}``.

    Raises:
        ValueError: a colour that is not listed.
    """
    if values.dtype != np.uint8:
        raise ValueError(f'colours are of 8 bits; found {values.dtype}')
    rgb = np.repeat(values[..., None], 3, axis=2) if values.ndim == 2 else values
    codes = rgb.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    result = np.full(codes.shape, -1, np.int64)
    for (red, green, blue), index in meant.items():
        result[codes == (red << 16 | green << 8 | blue)] = index
    if (result < 0).any():
        code = int(codes[result < 0][0])
        found = (code >> 16, code >> 8 & 255, code & 255)
        raise ValueError(f'its colour {found} is not among the {len(meant)} of colours={{...}}')
    return result


# ---- Matlab -------------------------------------------------------------------------------------------------------


def load_mat(path: Path) -> dict:
    """The variables of a ``.mat`` file.

    Raises:
        ValueError: it is damaged, or of Matlab's format 7.3, which is HDF5.
    """
    try:
        return loadmat(path)
    except NotImplementedError as error:
        raise FileError(
            f"{path} is of Matlab's format 7.3, which SciPy does not read. In Matlab, save(..., '-v7') writes one that "
            'it does; in Python, the package h5py reads it.'
        ) from error
    except OSError:
        raise
    except Exception as error:  # SciPy raises many kinds for damaged files
        raise FileError(f'{path} cannot be read as a .mat file ({type(error).__name__}: {error}).') from error


def read_mat(path: Path, variable: str) -> np.ndarray:
    """One variable of a ``.mat`` file.

    Raises:
        ValueError: see :func:`load_mat`.
        KeyError: the file does not hold it; the message lists what it holds.
    """
    content = load_mat(path)
    if variable not in content:
        found = ', '.join(key for key in content if not key.startswith('__')) or 'nothing'
        raise KeyError(f'no variable {variable!r}; the file holds {found}')
    return content[variable]


# ---- lists and folders --------------------------------------------------------------------------------------------


def read_list(path: str | Path) -> list[str]:
    """Ids, one per line; empty lines do not count. An id that comes twice is reported, and counts once.

    Raises:
        ValueError: the list is empty, or is not written in UTF-8.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode('utf-8-sig')  # the mark that editors of Windows begin with is not part of an id
    except UnicodeDecodeError as error:
        raise FileError(f'The list {path} is not written in UTF-8 ({error}). Save it as UTF-8.') from error
    ids = [line.strip() for line in text.splitlines() if line.strip()]
    if '\0' in text:
        raise FileError(f'The list {path} is not a text in UTF-8: it holds zero bytes. Save it as UTF-8.')
    if not ids:
        raise FileError(f'The list {path} names no sample.')
    once = list(dict.fromkeys(ids))
    if len(once) < len(ids):
        twice = next(i for i in once if ids.count(i) > 1)
        message = f'The list {path} names {len(ids) - len(once)} ids again, first {twice!r}. Each sample counts once.'
        print_log(message, 'current', logging.WARNING)
    return once


def visible(paths: Iterable[Path], root: Path | None = None) -> Iterator[Path]:
    """Those of ``paths`` that are data: names with a dot in front (``._a.png`` of macOS) are not.

    Args:
        paths: of files.
        root: also the folders between it and a file count.
    """
    for path in paths:
        parts = path.relative_to(root).parts if root is not None else (path.name,)
        if not any(part.startswith('.') for part in parts):
            yield path


# ---- normals and boundaries ---------------------------------------------------------------------------------------


def unit_normals(encoded: np.ndarray) -> np.ndarray:
    """Unit vectors from bytes, ``n = 2 v / 255 - 1`` (``[H, W, 3]``); bytes near :data:`NO_NORMAL` are unknown."""
    return _normalise(encoded * np.float32(2 / 255) - np.float32(1))


def normalised(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``[H, W, 3]`` scaled to unit length, float32; short (below 0.5) or not finite ones become zero."""
    vectors = vectors.astype(np.float32)
    vectors[~np.isfinite(vectors).all(axis=2)] = 0
    return _normalise(vectors)


def _normalise(vectors: np.ndarray) -> np.ndarray:
    """Scale float32 ``[H, W, 3]`` in place."""
    squared = np.einsum('hwc,hwc->hw', vectors, vectors)
    vectors *= np.where(squared > 0.25, 1 / np.sqrt(np.maximum(squared, 0.25)), 0)[..., None]
    return vectors


def label_changes(label_map: np.ndarray) -> np.ndarray:
    """Boundaries between different labels, thinned: uint8 ``[H, W]``, 1 on a boundary.

    A pixel lies at a change where the Laplacian of the labels is not zero.
    """
    changes = cv2.Laplacian(label_map.astype(np.float64), cv2.CV_64F) != 0
    return thin(changes).astype(np.uint8)
