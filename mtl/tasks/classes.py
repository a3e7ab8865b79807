"""Named class sets with their palettes."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtl.tasks.colour_blind import colour_blind_safe_palette


@dataclass(frozen=True)
class ClassSet:
    """Class names and their RGB colours.

    Args:
        names: one name a class id, from 0.
        palette: ``[len(names), 3]`` uint8.
    """

    names: tuple[str, ...]
    palette: np.ndarray


def voc_palette(count: int) -> np.ndarray:
    """The colour map of PASCAL VOC: the bits of the class id spread over the three channels. ``[count, 3]`` uint8."""
    palette = np.zeros((count, 3), np.uint8)
    for index in range(count):
        value = index
        for bit in range(8):
            for channel in range(3):
                palette[index, channel] |= ((value >> channel) & 1) << (7 - bit)
            value >>= 3
    return palette


def golden_palette(count: int) -> np.ndarray:
    """Distinct colours for any number of classes: hues a golden angle apart, the first black. ``[count, 3]`` uint8."""
    colours = [(0, 0, 0)]
    for index in range(count - 1):
        hue = (index * 0.618034) % 1.0
        value = (1.0, 0.8, 0.6)[index % 3]
        colours.append(tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.75, value)))
    return np.array(colours[:count], np.uint8)


PALETTES = {'voc': voc_palette, 'golden': golden_palette, 'colour_blind_safe': colour_blind_safe_palette}


def _set(names: str, palette=golden_palette) -> ClassSet:
    words = tuple(name.strip() for name in names.split(','))
    return ClassSet(words, palette(len(words)))


CLASS_SETS: dict[str, ClassSet] = {
    'pascal_voc': _set(
        'background, aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, '
        'motorbike, person, pottedplant, sheep, sofa, train, tvmonitor',
        voc_palette,
    ),
    'pascal_parts': _set('background, head, torso, upper arm, lower arm, upper leg, lower leg'),
    'nyud_40': _set(
        'wall, floor, cabinet, bed, chair, sofa, table, door, window, bookshelf, picture, counter, blinds, desk, '
        'shelves, curtain, dresser, pillow, mirror, floor mat, clothes, ceiling, books, refrigerator, television, '
        'paper, towel, shower curtain, box, whiteboard, person, night stand, toilet, sink, lamp, bathtub, bag, '
        'other structure, other furniture, other prop'
    ),
    'ccp_10': _set(
        'background, skin, hair, upper body, outerwear, trousers, skirt or dress, footwear, bag, '
        'headwear and accessories'
    ),
}


def recoloured(classes: ClassSet, palette: str | Sequence | np.ndarray) -> ClassSet:
    """The class set in other colours.

    Args:
        classes: class set.
        palette: a name of :data:`PALETTES`, or an RGB colour a class.

    Raises:
        ValueError: an unknown name, or colours that are not one per class.
    """
    if isinstance(palette, str):
        if palette not in PALETTES:
            raise ValueError(f'Unknown palette {palette!r}. Known: {", ".join(PALETTES)}; or give a colour a class.')
        return replace(classes, palette=PALETTES[palette](len(classes.names)))
    colours = np.asarray(palette)
    if colours.shape != (len(classes.names), 3) or colours.min() < 0 or colours.max() > 255:
        raise ValueError(
            f'A palette for {len(classes.names)} classes holds as many RGB colours in 0..255; found an array of shape '
            f'{list(colours.shape)}.'
        )
    return replace(classes, palette=colours.astype(np.uint8))


def resolve_classes(classes: str | Sequence[str]) -> ClassSet:
    """A class set by name, or a new one from a list of names.

    Raises:
        ValueError: a name that is not in :data:`CLASS_SETS`, or fewer than two classes.
    """
    if isinstance(classes, str):
        if classes not in CLASS_SETS:
            raise ValueError(f'Unknown class set {classes!r}. Known: {", ".join(CLASS_SETS)}; or give a list of names.')
        return CLASS_SETS[classes]
    names = tuple(classes)
    if len(names) < 2:
        raise ValueError(f'A segmentation task needs at least two classes; found {list(names)}.')
    return ClassSet(names, golden_palette(len(names)))
