"""Clothing Co-Parsing: street photographs of dressed people, every pixel labelled."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from mtl.datasets.base import MultiTaskDataset
from mtl.files import label_changes, read_mat, visible
from mtl.registry import DATASETS
from mtl.tasks import CLASS_SETS

# The 59 labels by the class that they are merged into. Whole-body garments count as dresses (in the photographs,
# `bodysuit` and `romper` are overalls and jumpsuits), legwear as trousers, and a suit, one label from collar to ankle,
# as outerwear. `vest` and `hoodie` are worn open, over something.
MERGED = {
    'background': ('null',),
    'skin': ('skin',),
    'hair': ('hair',),
    'upper body': (
        'blouse', 'bra', 'intimate', 'jumper', 'shirt', 'sweater', 'sweatshirt', 'swimwear', 't-shirt', 'top',
    ),
    'outerwear': ('blazer', 'cape', 'cardigan', 'coat', 'hoodie', 'jacket', 'suit', 'vest'),
    'trousers': ('jeans', 'leggings', 'panties', 'pants', 'shorts', 'stockings', 'tights'),
    'skirt or dress': ('bodysuit', 'dress', 'romper', 'skirt'),
    'footwear': (
        'boots', 'clogs', 'flats', 'heels', 'loafers', 'pumps', 'sandals', 'shoes', 'sneakers', 'socks', 'wedges',
    ),
    'bag': ('bag', 'purse', 'wallet'),
    'headwear and accessories': (
        'accessories', 'belt', 'bracelet', 'earrings', 'glasses', 'gloves', 'hat', 'necklace', 'ring', 'scarf',
        'sunglasses', 'tie', 'watch',
    ),
}  # fmt: skip
# In `label_list.mat` the labels stand in alphabetical order, after `null`.
PUBLISHED_LABELS = ('null', *sorted(name for names in MERGED.values() for name in names if name != 'null'))
EVERY = 7  # in a clone without lists, every seventh photograph is for validation


@DATASETS.register_module()
class ClothingCoParsing(MultiTaskDataset):
    """1,004 photographs with pixel labels; tasks semseg (10 classes merged from 59), saliency (foreground), edge.

    All three labels come from the one annotation (Yang, Luo and Lin, CVPR 2014).

    The public repository has no lists. Where ``train.txt`` or ``val.txt`` is missing, every seventh annotated
    photograph in order of name is for validation, and the others are for training.

    Args: see :class:`MultiTaskDataset`.
    """

    splits = {'train': 'train.txt', 'val': 'val.txt'}  # noqa: RUF012
    stand_in = 'git clone https://github.com/bearpaw/clothing-co-parsing data/ccp      (the data themselves, 132 MB)'
    layout = """ccp/
    photos/<id>.jpg
    annotations/pixel-level/<id>.mat
    label_list.mat
    {train,val}.txt                 optional lists of ids"""

    label_tasks = {  # noqa: RUF012
        'semseg': dict(type='SemanticSegmentation', classes='ccp_10'),
        'saliency': dict(type='Saliency'),
        'edge': dict(type='Boundary'),
    }

    @property
    def readers(self):
        return {'semseg': self.read_semseg, 'saliency': self.read_saliency, 'edge': self.read_edge}

    def find_ids(self) -> list[str]:
        annotated = sorted(path.stem for path in visible((self.root / 'annotations/pixel-level').glob('*.mat')))
        has_lists = all((self.root / file).is_file() for file in self.splits.values())
        if has_lists or not annotated or self.split not in self.splits:
            return super().find_ids()
        validation = annotated[EVERY - 1 :: EVERY]
        return validation if self.split == 'val' else [i for i in annotated if i not in set(validation)]

    def image_path(self, sample_id: str) -> Path:
        return self.root / f'photos/{sample_id}.jpg'

    def label_files(self, name: str, sample_id: str) -> list[Path]:
        return [self.root / f'annotations/pixel-level/{sample_id}.mat']

    def read_annotation(self, sample_id: str) -> np.ndarray | None:
        """The published label of each pixel ``[H, W]`` uint8, 0 to 58."""
        return self.compact('annotation', sample_id, self.parse_annotation)

    def parse_annotation(self, sample_id: str) -> np.ndarray | None:
        """:meth:`read_annotation` from the .mat file."""
        files = self.existing('annotation', sample_id)
        if not files:
            return None
        labels = read_mat(files[0], 'groundtruth')
        if labels.max() >= len(PUBLISHED_LABELS):
            raise ValueError(f'labels must be 0 to {len(PUBLISHED_LABELS) - 1}; found {labels.max()}')
        return labels

    @cached_property
    def class_of_label(self) -> np.ndarray:
        """Merged class of each published label, ``[59]`` uint8, by the names in ``label_list.mat``."""
        names, path = PUBLISHED_LABELS, self.root / 'label_list.mat'
        if path.is_file():
            names = [str(entry[0]) for entry in read_mat(path, 'label_list').ravel()]
        merged = {label: CLASS_SETS['ccp_10'].names.index(group) for group in MERGED for label in MERGED[group]}
        return np.array([merged[name] for name in names], np.uint8)

    def read_semseg(self, sample_id: str) -> np.ndarray | None:
        """Merged classes ``[H, W]`` uint8."""
        annotation = self.read_annotation(sample_id)
        return None if annotation is None else self.class_of_label[annotation]

    def read_saliency(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 on everything but the background."""
        annotation = self.read_annotation(sample_id)
        return None if annotation is None else (annotation > 0).astype(np.uint8)

    def read_edge(self, sample_id: str) -> np.ndarray | None:
        """``[H, W]`` uint8, 1 where the published label changes."""
        return self.compact('edge', sample_id, self.parse_edge)

    def parse_edge(self, sample_id: str) -> np.ndarray | None:
        """:meth:`read_edge` from the annotation."""
        annotation = self.read_annotation(sample_id)
        return None if annotation is None else label_changes(annotation)
