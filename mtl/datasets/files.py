"""Reading the kinds of files that the published archives are made of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import loadmat
from skimage.morphology import thin

IGNORE = 255
NO_NORMAL = 128  # the byte whose vector is (nearly) zero


def read_picture(path: Path) -> np.ndarray:
    """An image as RGB uint8 ``[H, W, 3]``. Unlike OpenCV, PIL raises ``OSError`` where a file is truncated."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert('RGB'))


def read_map(path: Path) -> np.ndarray:
    """A label image as it is stored; palette images give their indices."""
    with Image.open(path) as picture:
        return np.array(picture)


def read_mat(path: Path, variable: str) -> np.ndarray:
    """One variable of a ``.mat`` file.

    Raises:
        KeyError: the file does not hold it; the message lists what it holds.
    """
    content = loadmat(path)
    if variable not in content:
        found = ', '.join(key for key in content if not key.startswith('__')) or 'nothing'
        raise KeyError(f'no variable {variable!r}; the file holds {found}')
    return content[variable]


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
