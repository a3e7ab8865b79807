"""One sample written as the files of a published archive: PASCAL-Context, or NYUD-v2 in either edition."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.io import savemat

from mtl.tasks.classes import voc_palette

from .labels import UNKNOWN, VOC_NAMES
from .scene import RenderedScene

JPEG_QUALITY = 95
# scipy writes the time of day into the 116 characters of text that open a MAT file.
_MAT_HEADER = b'MATLAB 5.0 MAT-file, MiniScenes'.ljust(116)


def write_pascal_sample(root: Path, sample_id: str, scene: RenderedScene) -> None:
    """The files of one image of ``PASCAL_MT``, and ``depth/<id>.npy``, which that archive does not have."""
    _write_picture(root / f'JPEGImages/{sample_id}.jpg', scene.image)
    # In the archive, too, only some images have VOC masks (palette PNGs); the others come from PASCAL-Context.
    if int(sample_id.rsplit('_', 1)[1]) % 2:
        _write_png(root / f'semseg/pascal-context/{sample_id}.png', scene.semseg)
    else:
        _write_palette_png(root / f'semseg/VOC12/{sample_id}.png', scene.semseg)
    _write_mat(root / f'human_parts/{sample_id}.mat', {'anno': _part_annotation(sample_id, scene)})
    _write_mat(root / f'pascal-context/trainval/{sample_id}.mat', {'LabelMap': scene.label_map})
    _write_png(root / f'normals_distill/{sample_id}.png', _unit_to_bytes(scene.normals))
    _write_png(root / f'sal_distill/{sample_id}.png', scene.saliency * np.uint8(255))
    _write_array(root / f'depth/{sample_id}.npy', scene.depth)


def write_nyud_sample(root: Path, sample_id: str, scene: RenderedScene, edition: str) -> None:
    """The files of one image of ``NYUD_MT`` as the MTI-Net (``mti``) or the ATRC (``atrc``) line distributes it."""
    labels = np.where(scene.nyud == UNKNOWN, 0, scene.nyud + 1).astype(np.uint8)
    _write_png(root / f'segmentation/{sample_id}.png', labels)
    _write_array(root / f'depth/{sample_id}.npy', scene.depth)
    if edition == 'mti':
        _write_picture(root / f'images/{sample_id}.jpg', scene.image)
        _write_array(root / f'normals/{sample_id}.npy', scene.normals)
        _write_array(root / f'edge/{sample_id}.npy', scene.edge.astype(np.float32))
    else:
        _write_picture(root / f'images/{sample_id}.png', scene.image)
        _write_png(root / f'normals/{sample_id}.png', _unit_to_bytes(scene.normals))
        _write_png(root / f'edge/{sample_id}.png', scene.edge * np.uint8(255))


def _part_annotation(sample_id: str, scene: RenderedScene) -> dict:
    """The ``anno`` structure of PASCAL-Part: one object an instance; people too small for parts have none."""
    object_fields = [('class', object), ('class_ind', object), ('mask', object), ('parts', object)]
    regions, first = np.unique(scene.instances, return_index=True)
    rows = []
    for region, voc in zip(regions, scene.semseg.ravel()[first], strict=True):
        if not voc:
            continue
        masks = scene.part_names.get(int(region), {})
        part_fields = [('part_name', object), ('mask', object)]
        parts = np.zeros((1, len(masks)), dtype=part_fields) if masks else np.zeros((0, 0))
        for column, (name, mask) in enumerate(masks.items()):
            parts[0, column] = (name, mask.astype(np.uint8))
        rows.append((VOC_NAMES[voc], voc, (scene.instances == region).astype(np.uint8), parts))
    objects = np.zeros((1, len(rows)), dtype=object_fields)
    for column, row in enumerate(rows):
        objects[0, column] = row
    return {'imname': sample_id, 'objects': objects}


def _unit_to_bytes(normals: np.ndarray) -> np.ndarray:
    return np.rint((normals + 1) * 127.5).astype(np.uint8)


def _write_picture(path: Path, rgb: np.ndarray) -> None:
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == '.jpg' else []
    path.write_bytes(cv2.imencode(path.suffix, rgb[..., ::-1], options)[1].tobytes())


def _write_png(path: Path, values: np.ndarray) -> None:
    """A grey or RGB PNG."""
    path.write_bytes(cv2.imencode('.png', values[..., ::-1] if values.ndim == 3 else values)[1].tobytes())


def _write_palette_png(path: Path, classes: np.ndarray) -> None:
    image = Image.fromarray(classes).convert('P')
    image.putpalette(voc_palette(256).ravel().tolist())
    image.save(path)


def _write_array(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


def _write_mat(path: Path, variables: dict) -> None:
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=True, oned_as='row')
    path.write_bytes(_MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :])
