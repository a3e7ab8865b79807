"""What each kind of region is called in the label sets of PASCAL VOC, NYUD-v2 and PASCAL-Context, and label rules."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

UNKNOWN = 255


class Category(NamedTuple):
    """One kind of region.

    Attributes:
        voc: PASCAL VOC class 0..20.
        nyud: NYUD-v2 class 0..39 (the published 1..40 less one), or 255.
        context: id in PASCAL-Context's label map. Normals count only for ids of the published list (walls, floors,
            furniture, people, cars ...), so sky, vegetation, water, cattle, buses and trains have none, as there.
            House fronts are walls, roads floors and sidewalks brick, whose normals do count.
    """

    voc: int
    nyud: int
    context: int


CATEGORIES = {
    'sky': Category(0, UNKNOWN, 360),
    'wall': Category(0, 0, 440),
    'floor': Category(0, 1, 158),
    'ceiling': Category(0, 21, 68),
    'door': Category(0, 7, 115),
    'window': Category(0, 8, 454),
    'cabinet': Category(0, 2, 46),
    'shelves': Category(0, 14, 349),
    'picture': Category(0, 10, 287),
    'rug': Category(0, 19, 330),
    'lamp': Category(0, 34, 232),
    'bed': Category(0, 3, 18),
    'box': Category(0, 28, 37),
    'building': Category(0, 37, 440),
    'road': Category(0, 1, 158),
    'sidewalk': Category(0, 1, 39),
    'grass': Category(0, 1, 187),
    'water': Category(0, UNKNOWN, 445),
    'tree': Category(0, 39, 420),
    'fence': Category(0, 37, 144),
    'boat': Category(4, 39, 31),
    'bottle': Category(5, 39, 34),
    'bus': Category(6, 39, 45),
    'car': Category(7, 39, 59),
    'cat': Category(8, 39, 65),
    'chair': Category(9, 4, 72),
    'cow': Category(10, 39, 98),
    'diningtable': Category(11, 6, 397),
    'dog': Category(12, 39, 113),
    'horse': Category(13, 39, 207),
    'person': Category(15, 30, 284),
    'pottedplant': Category(16, 39, 308),
    'sheep': Category(17, 39, 347),
    'sofa': Category(18, 5, 368),
    'train': Category(19, 39, 416),
    'tvmonitor': Category(20, 24, 427),
}
VOC_NAMES = {category.voc: name for name, category in CATEGORIES.items() if category.voc}

# PASCAL-Part names of a person, without the side prefix l / r, and the six part classes (0 is background).
PART_CLASSES = {
    'head': 1, 'hair': 1, 'eye': 1, 'nose': 1,
    'torso': 2, 'neck': 2,
    'uarm': 3, 'larm': 4, 'hand': 4,
    'uleg': 5, 'lleg': 6, 'foot': 6,
}  # fmt: skip


def part_class(part: str) -> int:
    """Class 1..6 of a PASCAL-Part name such as ``luarm``; 0 for no part."""
    if not part:
        return 0
    return PART_CLASSES[part] if part in PART_CLASSES else PART_CLASSES[part[1:]]


def has_part_labels(area: int, size: tuple[int, int]) -> bool:
    """Whether a person is large enough to have been annotated with parts; small ones are not, as in PASCAL-Part."""
    return area >= max(12, 0.002 * size[0] * size[1])


def region_edges(regions: np.ndarray) -> np.ndarray:
    """1 where a pixel's region differs from that of its right or lower neighbour, else 0; uint8 ``[H, W]``."""
    edge = np.zeros(regions.shape, dtype=np.uint8)
    edge[:, :-1] |= regions[:, :-1] != regions[:, 1:]
    edge[:-1] |= regions[:-1] != regions[1:]
    return edge


def salient_regions(regions: np.ndarray, foreground: np.ndarray) -> list[int]:
    """The one or two most prominent foreground regions.

    Prominence is the number of pixels, each weighted by ``exp(-2 r^2)`` with ``r`` its distance from the centre in
    half image sizes. The most prominent region is salient if it fills 0.5 % of the image, and so is the second if it
    has at least half the prominence of the first.

    Args:
        regions: region index ``[H, W]``.
        foreground: bool per region index.
    """
    height, width = regions.shape
    y = (np.arange(height) + 0.5) / height * 2 - 1
    x = (np.arange(width) + 0.5) / width * 2 - 1
    weight = np.exp(-2 * (y[:, None] ** 2 + x[None] ** 2))
    prominence = np.bincount(regions.ravel(), weight.ravel(), len(foreground))
    area = np.bincount(regions.ravel(), minlength=len(foreground))
    prominence[~foreground | (area < 0.005 * regions.size)] = 0
    least = max(0.5 * prominence.max(), np.finfo(float).tiny)
    return [int(region) for region in np.argsort(-prominence, kind='stable')[:2] if prominence[region] >= least]
