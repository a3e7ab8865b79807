"""PASCAL-Context with the labels of the multi-task literature (``PASCAL_MT.tgz``)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.datasets.files import IGNORE, label_changes, read_map, read_mat, unit_normals
from mtl.registry import DATASETS

PERSON = 15  # category id of a person in PASCAL-Part

# part names of PASCAL-Part, to: head 1, torso 2, upper arm 3, lower arm 4, upper leg 5, lower leg 6
HUMAN_PARTS = {
    **dict.fromkeys(('hair', 'head', 'lear', 'rear', 'lebrow', 'rebrow', 'leye', 'reye', 'mouth', 'nose'), 1),
    **dict.fromkeys(('torso', 'neck'), 2),
    **dict.fromkeys(('luarm', 'ruarm'), 3),
    **dict.fromkeys(('llarm', 'rlarm', 'lhand', 'rhand'), 4),
    **dict.fromkeys(('luleg', 'ruleg'), 5),
    **dict.fromkeys(('llleg', 'rlleg', 'lfoot', 'rfoot'), 6),
}


@cache
def classes_with_normals() -> np.ndarray:
    """The PASCAL-Context classes whose distilled normals are valid."""
    return np.loadtxt(Path(__file__).with_name('pascal_normals_valid_classes.txt'), dtype=np.int64).ravel()


@DATASETS.register_module()
class PASCALContext(MultiTaskDataset):
    """4,998 training and 5,105 validation images; tasks semseg, human_parts, saliency, normals, edge.

    Args: see :class:`MultiTaskDataset`.
    """

    splits = {'train': 'ImageSets/Context/train.txt', 'val': 'ImageSets/Context/val.txt'}  # noqa: RUF012
    stand_in = 'python tools/make_mini_scenes.py pascal data/PASCAL_MT --num-train 8 --num-val 4'
    layout = """PASCAL_MT/
    ImageSets/Context/{train,val}.txt       image ids
    JPEGImages/<id>.jpg
    semseg/VOC12/<id>.png                   or semseg/pascal-context/<id>.png
    human_parts/<id>.mat
    pascal-context/trainval/<id>.mat        boundaries, and where normals are valid
    normals_distill/<id>.png
    sal_distill/<id>.png"""

    @property
    def readers(self):
        return {
            'semseg': self.read_semseg,
            'human_parts': self.read_human_parts,
            'saliency': self.read_saliency,
            'normals': self.read_normals,
            'edge': self.read_edge,
        }

    def image_path(self, sample_id: str) -> Path:
        return self.root / f'JPEGImages/{sample_id}.jpg'

    def label_sources(self, name: str, sample_id: str) -> list[Path]:
        files = {
            'semseg': [f'semseg/VOC12/{sample_id}.png', f'semseg/pascal-context/{sample_id}.png'],
            'human_parts': [f'human_parts/{sample_id}.mat'],
            'saliency': [f'sal_distill/{sample_id}.png'],
            'normals': [f'normals_distill/{sample_id}.png', f'pascal-context/trainval/{sample_id}.mat'],
            'edge': [f'pascal-context/trainval/{sample_id}.mat'],
        }
        existing = [self.root / file for file in files[name] if (self.root / file).is_file()]
        return existing[:1] if name == 'semseg' else existing

    def read_semseg(self, sample_id: str) -> np.ndarray | None:
        """VOC classes ``[H, W]`` uint8 from VOC 2012 where it has the image, else from PASCAL-Context."""
        sources = self.label_sources('semseg', sample_id)
        return read_map(sources[0]) if sources else None

    def read_human_parts(self, sample_id: str) -> np.ndarray | None:
        """Part ids ``[H, W]`` uint8; 255 everywhere in an image without a person."""
        sources = self.label_sources('human_parts', sample_id)
        if not sources:
            return None
        objects = read_mat(sources[0], 'anno')[0][0][1][0]
        parts = np.zeros(objects[0][2].shape, np.uint8)
        people = [entry for entry in objects if int(np.squeeze(entry[1])) == PERSON]
        for person in people:
            for part in person[3][0] if person[3].size else ():
                part_id = HUMAN_PARTS.get(str(part[0][0]))
                if part_id is not None:
                    parts[part[1] > 0] = part_id
        return parts if people else np.full_like(parts, IGNORE)

    def read_saliency(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 salient."""
        sources = self.label_sources('saliency', sample_id)
        return (read_map(sources[0]) > 127).astype(np.uint8) if sources else None

    def read_normals(self, sample_id: str) -> np.ndarray | None:
        """Unit vectors ``[H, W, 3]``, zero where the class of the pixel has no valid normals."""
        sources = self.label_sources('normals', sample_id)
        if len(sources) < 2:
            return None
        valid = np.isin(read_mat(sources[1], 'LabelMap'), classes_with_normals())
        return unit_normals(read_map(sources[0])) * valid[..., None]

    def read_edge(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 where the PASCAL-Context label changes."""
        sources = self.label_sources('edge', sample_id)
        return label_changes(read_mat(sources[0], 'LabelMap')) if sources else None
