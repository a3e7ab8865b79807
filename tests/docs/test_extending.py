"""The examples of docs/extending: short, and outside of the package. Their pages run in test_docs.py."""

import csv
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from mtl.mini_scenes import write_pascal

FOLDER = Path(__file__).resolve().parents[2] / 'docs/extending'
EXAMPLES = sorted((FOLDER / 'examples').glob('*.py'))
PARTS = {  # page: the file that it shows
    'adapter': 'ia3',
    'backbone': 'conv_pyramid',
    'decoder': 'sum_decoder',
    'loss_weighting': 'auxiliary_weighting',
    'slimmable_part': 'slim_sum_decoder',
    'task': 'shading',
}


@pytest.mark.parametrize('path', EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short(path):
    assert len(path.read_text().splitlines()) <= 60


@pytest.mark.parametrize(('page', 'example'), PARTS.items())
def test_a_page_trains_searches_cuts_out_and_exports_its_example(page, example):
    text = (FOLDER / f'{page}.md').read_text()
    assert f'<!-- docs/extending/examples/{example}.py -->' in text
    assert f'<!-- docs/extending/examples/with_{example}.py -->' in text
    for stage in ('train', 'search_width', 'materialize', 'export'):
        assert f'{stage}.py docs/extending/examples/with_{example}.py' in text, stage


def test_a_data_set_of_ones_own(tmp_path, monkeypatch):
    """The table of file_table.py, on files that stand anywhere; an empty cell is a missing label."""
    root = write_pascal(tmp_path / 'own', 2, 1, (64, 64), seed=0)
    (first, second, *_) = sorted((root / 'JPEGImages').glob('train*.jpg'))
    files = [path for path in root.rglob(f'{first.stem}.*') if path != first]
    saliency, normals = ([path for path in files if word in str(path)] for word in ('sal', 'norm'))
    with (root / 'train.csv').open('w', newline='') as file:
        table = csv.DictWriter(file, ['image', 'saliency', 'normals'])
        table.writeheader()
        inside = [str(paths[0].relative_to(root)) for paths in ([first], saliency, normals)]
        table.writerow(dict(zip(table.fieldnames, inside, strict=True)))
        table.writerow(dict(image=str(second.relative_to(root)), saliency='', normals=''))
    monkeypatch.syspath_prepend(str(FOLDER / 'examples'))
    module = importlib.import_module('file_table')
    tasks = dict(saliency=dict(type='Saliency'), normals=dict(type='SurfaceNormals'))
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels')]
    samples = module.FileTable(data_root=str(root), split='train', tasks=tasks, pipeline=pipeline)
    assert len(samples) == 2
    assert not [key for key in samples[1] if 'saliency' in key and isinstance(samples[1][key], np.ndarray)]
    found = samples[0]
    assert found['img'].shape == (64, 64, 3)
    sys.modules.pop('file_table')
