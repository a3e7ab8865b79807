"""The package as pip installs it, in an empty folder, with a published checkpoint and nothing else of the project."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mtl.checkpoints.publishing import published, save_with_hash
from mtl.checkpoints.restoring import stored_config

ROOT = Path(__file__).resolve().parents[2]

THREE_LINES = """
from mtl.apis import MultiTaskInferencer
inferencer = MultiTaskInferencer('{checkpoint}')
maps = inferencer('photograph.jpg')['predictions']
"""


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """``installed(*arguments)``: run Python in a folder of its own with the package from a wheel; gives its folder."""
    source, site = tmp_path_factory.mktemp('source'), tmp_path_factory.mktemp('site')
    for name in ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / 'mtl', source / 'mtl', ignore=shutil.ignore_patterns('__pycache__'))
    pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--no-build-isolation', '--target', str(site), str(source)]
    subprocess.run([sys.executable, *pip], check=True, timeout=300)
    folder = tmp_path_factory.mktemp('empty')
    environment = {**os.environ, 'PYTHONPATH': str(site), 'OMP_NUM_THREADS': '1'}

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run.folder, run.site = folder, site
    return run


@pytest.mark.slow
def test_three_lines_of_python_and_the_tool(installed, run, picture):
    stored = torch.load(run / 'epoch_3.pth', weights_only=True)
    checkpoint = published(stored['state_dict'], stored_config(stored), stored['meta'])
    path = save_with_hash(checkpoint, installed.folder / 'micro.pth')
    cv2.imwrite(str(installed.folder / 'photograph.jpg'), picture(0)[..., ::-1])
    code = THREE_LINES.format(checkpoint=path.name)
    code += "import mtl, numpy; print(mtl.__file__); numpy.savez('maps.npz', **maps)"
    output = installed('-c', code)
    assert str(installed.site) in output
    with np.load(installed.folder / 'maps.npz') as maps:
        assert set(maps) == {'semseg', 'saliency', 'normals', 'edge', 'depth'}
        assert all(maps[name].shape[-2:] == (70, 90) for name in maps)
    output = installed(ROOT / 'tools/image_demo.py', 'photograph.jpg', path.name)
    assert '1 image drawn' in output
    panel = cv2.imread(str(installed.folder / 'demo/vis/photograph.png'))
    assert panel.shape[0] > 300
