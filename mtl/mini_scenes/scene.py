"""One labelled picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .labels import CATEGORIES, UNKNOWN, has_part_labels, part_class, region_edges, salient_regions
from .places import PLACES, random_scene
from .render import develop, render
from .styles import STYLES

_SKY = 0
# Metres that the imagined depth sensor reaches; without an end, the last rows before the horizon would be kilometres.
FARTHEST = 40.0


@dataclass(frozen=True)
class RenderedScene:
    """A picture and its labels, all of one size.

    Attributes:
        image: uint8 ``[H, W, 3]`` RGB.
        semseg: uint8 ``[H, W]`` PASCAL VOC classes 0..20.
        nyud: uint8 ``[H, W]`` NYUD-v2 classes 0..39, 255 unlabelled.
        human_parts: uint8 ``[H, W]`` 0..6; 255 everywhere when no person is large enough to have parts. Smaller
            people beside a large one are background, as in PASCAL-Part.
        saliency: uint8 ``[H, W]`` 1 on the one or two most prominent objects (:func:`.labels.salient_regions`).
        edge: uint8 ``[H, W]`` 1 where the instance changes (:func:`.labels.region_edges`).
        depth: float32 ``[H, W]`` metres along the optical axis; 0 (unknown) in the sky and beyond ``FARTHEST``.
        normals: float32 ``[H, W, 3]`` unit, x right, y down, z towards the camera; zero in the sky.
        label_map: uint16 ``[H, W]`` ids of PASCAL-Context's label map.
        instances: uint16 ``[H, W]`` region index: 0 is the sky, each thing another.
        part_names: per region of a person with part labels, its PASCAL-Part masks ``{name: bool [H, W]}``.
    """

    image: np.ndarray
    semseg: np.ndarray
    nyud: np.ndarray
    human_parts: np.ndarray
    saliency: np.ndarray
    edge: np.ndarray
    depth: np.ndarray
    normals: np.ndarray
    label_map: np.ndarray
    instances: np.ndarray
    part_names: dict[int, dict[str, np.ndarray]]


def check_request(size: tuple[int, int], style: str, place: str | None = None) -> None:
    """Raise ``ValueError`` for an unknown style or place, or a size with too few pixels."""
    if style not in STYLES:
        raise ValueError(f'Unknown MiniScenes style {style!r}. Known: {", ".join(STYLES)}.')
    if place is not None and place not in PLACES:
        raise ValueError(f'Unknown MiniScenes place {place!r}. Known: {", ".join(PLACES)}.')
    if min(size) < 8:
        raise ValueError(f'A MiniScenes picture needs a height and width of at least 8 pixels; found {tuple(size)}.')


def random_state(seed: int, style: str) -> np.random.RandomState:
    """The source of a scene's randomness; equal seeds of different styles have nothing in common."""
    return np.random.RandomState([seed, list(STYLES).index(style)])


def render_scene(seed: int, size: tuple[int, int], style: str = 'day', place: str | None = None) -> RenderedScene:
    """A random scene; the same arguments give the same picture and labels.

    Args:
        seed: 0 to 2**32 - 1.
        size: height and width in pixels.
        style: ``day`` or ``dusk``.
        place: ``room``, ``street``, ``meadow`` or ``harbour``; default drawn at random.

    Raises:
        ValueError: an unknown style or place, or a size without pixels.
    """
    check_request(size, style, place)
    rng = random_state(seed, style)
    scene = random_scene(rng, STYLES[style], place)
    buffers, solids = render(scene, size)

    thing_of_solid = np.repeat(np.arange(len(scene.things)), [len(thing.solids) for thing in scene.things])
    # Index -1 (nothing hit) picks the last entry: the sky.
    regions = np.append(thing_of_solid + 1, _SKY)[buffers.solid].astype(np.uint16)
    categories = [CATEGORIES['sky'], *(CATEGORIES[thing.category] for thing in scene.things)]
    voc, nyud, context = np.array(categories).T
    foreground = voc > 0

    part_names = _part_masks(regions, buffers.solid, [solid.part for solid in solids], voc == CATEGORIES['person'].voc)
    human_parts = np.full(size, 0 if part_names else UNKNOWN, dtype=np.uint8)
    for masks in part_names.values():
        for name, mask in masks.items():
            human_parts[mask] = part_class(name)

    normals = np.einsum('ij,jhw->hwi', scene.axes * [[1], [1], [-1]], buffers.normals)
    return RenderedScene(
        image=develop(buffers.colour, STYLES[style], rng),
        semseg=voc.astype(np.uint8)[regions],
        nyud=nyud.astype(np.uint8)[regions],
        human_parts=human_parts,
        saliency=np.isin(regions, salient_regions(regions, foreground)).astype(np.uint8),
        edge=region_edges(regions),
        depth=np.where(buffers.depth <= FARTHEST, buffers.depth, 0).astype(np.float32),
        normals=normals.astype(np.float32),
        label_map=context.astype(np.uint16)[regions],
        instances=regions,
        part_names=part_names,
    )


def _part_masks(
    regions: np.ndarray, solid: np.ndarray, part_of_solid: list[str], is_person: np.ndarray
) -> dict[int, dict[str, np.ndarray]]:
    """Masks of the visible parts of every person large enough to have them: ``{region: {part name: bool [H, W]}}``.

    Args:
        regions, solid: index of thing and of solid ``[H, W]``.
        part_of_solid: PASCAL-Part name by solid.
        is_person: bool by region.
    """
    names, part_index = np.unique([*part_of_solid, ''], return_inverse=True)
    part = part_index[solid]  # index -1 (nothing hit) picks the last entry: no part
    area = np.bincount(regions.ravel(), minlength=len(is_person))
    masks = {}
    for region in np.flatnonzero(is_person & [has_part_labels(count, regions.shape) for count in area]):
        body = regions == region
        masks[int(region)] = {str(names[index]): body & (part == index) for index in np.unique(part[body])}
    return masks
