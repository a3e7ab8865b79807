"""A tiny run: real files, the real runner, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from mtl.mini_scenes import write_pascal

ROOT = Path(__file__).resolve().parents[2]
SIZE = (64, 64)

CONFIG = """
_base_ = [
    '{root}/configs/_base_/models/mtlora_swin_micro.py',
    '{root}/configs/_base_/datasets/miniscenes.py',
    '{root}/configs/_base_/schedules/short.py',
    '{root}/configs/_base_/default_runtime.py',
]
scenes = dict(data_root='{scenes}', num_train=8, num_val=2, size=(64, 64))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadLabels'),
    dict(type='RandomFlip'),
    dict(type='RandomScaleCrop', size=(64, 64), scale=(0.75, 1.5)),
    dict(type='Pack'),
]
test_pipeline = [dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='Pack')]
train_dataloader = dict(batch_size=2, dataset=dict(**scenes, pipeline=train_pipeline))
val_dataloader = dict(batch_size=2, dataset=dict(**scenes, pipeline=test_pipeline))
test_dataloader = val_dataloader
model = dict(
    tasks=_base_.tasks,
    backbone=dict(
        img_size=(64, 64), embed_dim=8, depths=(1, 1), num_heads=(1, 2), pretrained=None, allow_random_init=True,
        drop_path_rate=0.2, adapters=dict(rank=2, task_rank=2, dropout=0.2),
    ),
    decoder=dict(level_channels=(4, 6), out_channels=8),
)
train_cfg = dict(max_epochs=3, val_interval=1)
default_hooks = dict(logger=dict(interval=1), panels=dict(count=1))
"""


@pytest.fixture(scope='session')
def scenes(tmp_path_factory):
    """Ten scenes in PASCAL's layout."""
    return write_pascal(tmp_path_factory.mktemp('scenes') / 'mini_scenes', 8, 2, SIZE, seed=0)


@pytest.fixture(scope='session')
def write_config(scenes):
    """``write_config(path, more)``: the tiny config, plus the lines ``more``, in a file."""

    def write(path, more=''):
        path.write_text(CONFIG.format(root=ROOT, scenes=scenes) + dedent(more))
        return path

    return write


@pytest.fixture(scope='session')
def run_tool():
    """``run_tool(tool, *arguments)``: run a script of ``tools/`` to its end."""

    def run(tool, *arguments, timeout=300):
        program = [sys.executable] if tool.endswith('.py') else ['bash']
        environment = {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
        return subprocess.run(
            [*program, str(ROOT / 'tools' / tool), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
        )

    return run


@pytest.fixture(scope='session')
def scalars():
    """``scalars(work_dir)``: the logged rows of the last run there, without what depends on the clock; nan is None."""

    def read(work_dir):
        newest = sorted(work_dir.glob('*/vis_data/scalars.json'))[-1]
        rows = [json.loads(line, parse_constant=lambda name: None) for line in newest.read_text().splitlines()]
        return [{k: v for k, v in row.items() if k not in ('time', 'data_time', 'memory')} for row in rows]

    return read


@pytest.fixture(scope='session')
def photographs(tmp_path_factory):
    """Four training and two validation images in the layout of Clothing Co-Parsing."""
    root, rng = tmp_path_factory.mktemp('photographs'), np.random.default_rng(0)
    (root / 'photos').mkdir()
    (root / 'annotations/pixel-level').mkdir(parents=True)
    names = [f'{number:04d}' for number in range(1, 7)]
    for name in names:
        labels = np.kron(rng.integers(0, 59, (6, 4)), np.ones((16, 16))).astype(np.uint8)
        savemat(root / f'annotations/pixel-level/{name}.mat', {'groundtruth': labels})
        cv2.imwrite(str(root / f'photos/{name}.jpg'), rng.integers(0, 256, (96, 64, 3), dtype=np.uint8))
    (root / 'train.txt').write_text('\n'.join(names[:4]))
    (root / 'val.txt').write_text('\n'.join(names[4:]))
    return root
