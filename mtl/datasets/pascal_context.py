"""PASCAL-Context with the labels of the multi-task literature (``PASCAL_MT.tgz``)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.files import IGNORE, NO_NORMAL, class_ids, label_changes, mask, read_map, read_mat, unit_normals
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

    label_tasks = {  # noqa: RUF012
        'semseg': dict(type='SemanticSegmentation', classes='pascal_voc'),
        'human_parts': dict(type='PartSegmentation'),
        'saliency': dict(type='Saliency'),
        'normals': dict(type='SurfaceNormals'),
        'edge': dict(type='Boundary'),
    }
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

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        if name == 'semseg':
            voc = self.root / f'semseg/VOC12/{sample_id}.png'
            return [voc if voc.is_file() else self.root / f'semseg/pascal-context/{sample_id}.png']
        files = {
            'human_parts': [f'human_parts/{sample_id}.mat'],
            'saliency': [f'sal_distill/{sample_id}.png'],
            'normals': [f'normals_distill/{sample_id}.png', f'pascal-context/trainval/{sample_id}.mat'],
            'edge': [f'pascal-context/trainval/{sample_id}.mat'],
        }
        return [self.root / file for file in files[name]]

    # ---- as a task gets them --------------------------------------------------------------------------------------

    def read_semseg(self, sample_id: str) -> np.ndarray | None:
        """VOC classes ``[H, W]`` uint8 from VOC 2012 where it has the image, else from PASCAL-Context."""
        files = self.existing('semseg', sample_id)
        return class_ids(read_map(files[0])) if files else None

    def read_human_parts(self, sample_id: str) -> np.ndarray | None:
        """Part ids ``[H, W]`` uint8; 255 everywhere in an image without a part, as in the published protocol."""
        return self.compact('human_parts', sample_id, self.parse_human_parts)

    def read_saliency(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 salient."""
        files = self.existing('saliency', sample_id)
        return mask(read_map(files[0])) if files else None

    def read_normals(self, sample_id: str) -> np.ndarray | None:
        """Unit vectors ``[H, W, 3]``, zero where the class of the pixel has no valid normals."""
        encoded = self.compact('normals', sample_id, self.parse_normals)
        return None if encoded is None else unit_normals(encoded)

    def read_edge(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 where the PASCAL-Context label changes."""
        return self.compact('edge', sample_id, self.parse_edge)

    # ---- from the .mat files --------------------------------------------------------------------------------------

    def parse_human_parts(self, sample_id: str) -> np.ndarray | None:
        """:meth:`read_human_parts` from the annotation: a list of objects, each with a class, a mask and parts."""
        files = self.existing('human_parts', sample_id)
        objects = read_mat(files[0], 'anno')[0][0][1][0] if files else ()
        if not len(objects):  # without an object the file does not even say how large the image is
            return None
        labels = np.zeros(objects[0][2].shape, np.uint8)
        for entry in objects:
            if int(entry[1].item()) != PERSON or not len(entry[3]):
                continue
            for part in entry[3][0]:
                part_id = HUMAN_PARTS.get(str(part[0].item()))
                if part_id is not None:
                    labels[part[1] > 0] = part_id
        return labels if labels.any() else np.full_like(labels, IGNORE)

    def parse_normals(self, sample_id: str) -> np.ndarray | None:
        """Normals as bytes ``[H, W, 3]``, :data:`NO_NORMAL` where the class has no valid ones."""
        files = self.existing('normals', sample_id)
        if len(files) < 2:  # without the classes nobody knows which of the normals are valid
            return None
        encoded = read_map(files[0])
        encoded[~np.isin(read_mat(files[1], 'LabelMap'), classes_with_normals())] = NO_NORMAL
        return encoded

    def parse_edge(self, sample_id: str) -> np.ndarray | None:
        """:meth:`read_edge` from the label map."""
        files = self.existing('edge', sample_id)
        return label_changes(read_mat(files[0], 'LabelMap')) if files else None
