"""A data set that is a table: a line per image, with its file and those of its labels."""

import csv
from functools import partial

from mtl.datasets import MultiTaskDataset
from mtl.files import mask, read_map, unit_normals
from mtl.registry import DATASETS


@DATASETS.register_module()
class FileTable(MultiTaskDataset):
    """Files may lie anywhere and have any name; an empty cell is a label that the image does not have."""

    layout = 'ROOT/{train,val}.csv with the columns image, saliency, normals: paths below ROOT'
    splits = dict(train='train.csv', val='val.csv')
    label_tasks = dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals'))

    def find_ids(self):
        self.rows = {row['image']: row for row in csv.DictReader(super().find_ids())}
        return list(self.rows)

    def image_path(self, sample_id):
        return self.root / sample_id

    def label_files(self, name, sample_id):
        file = self.rows[sample_id][name]
        return [self.root / file] if file else []

    @property
    def readers(self):
        return dict(saliency=partial(self.read, 'saliency', mask), normals=partial(self.read, 'normals', unit_normals))

    def read(self, name, meaning, sample_id):
        files = self.existing(name, sample_id)
        return meaning(read_map(files[0])) if files else None
