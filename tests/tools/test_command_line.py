"""Wrong inputs at the command line: one sentence, status 2, no traceback, within seconds."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
MODEL = 'model.backbone.pretrained=nowhere.pth'


def tool(name, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(ROOT / 'tools' / f'{name}.py'), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


def sentence(result):
    """The error, after checking that it is all there is."""
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1
    return result.stderr[result.stderr.index('error: ') :]


QUICKSTART = ROOT / 'configs' / 'quickstart.py'
PASCAL = ROOT / 'configs' / 'mtlora_swin_pascal.py'


def test_a_config_that_does_not_exist(tmp_path):
    assert 'nowhere.py' in sentence(tool('train', 'nowhere.py', cwd=tmp_path))


def test_an_unknown_task_lists_the_known(tmp_path):
    error = sentence(tool('train', QUICKSTART, '--tasks', 'semseg', 'colour', cwd=tmp_path))
    for name in ('semseg', 'human_parts', 'saliency', 'normals', 'edge', "'colour'"):
        assert name in error


def test_a_checkpoint_that_does_not_exist(tmp_path):
    assert 'nowhere.pth' in sentence(tool('test', QUICKSTART, 'nowhere.pth', cwd=tmp_path))
    assert 'nowhere.pth' in sentence(tool('train', QUICKSTART, '--resume', 'nowhere.pth', cwd=tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_mixed_precision_and_cluster_launchers_need_a_gpu(tmp_path):
    assert '--amp' in sentence(tool('train', QUICKSTART, '--amp', cwd=tmp_path))
    assert 'torchrun' in sentence(tool('train', QUICKSTART, '--launcher', 'slurm', cwd=tmp_path))


def test_missing_data_stop_before_the_model_is_built(tmp_path):
    """The message names the folder, its layout and the command for a stand-in, before any weights are looked for."""
    root = tmp_path / 'PASCAL_MT'
    error = sentence(tool('train', PASCAL, '--cfg-options', f'data_root={root}', MODEL, cwd=tmp_path))
    assert str(root) in error
    assert 'JPEGImages' in error
    assert 'make_mini_scenes.py pascal' in error


def test_a_checkpoint_with_code_is_refused(tmp_path):
    torch.save({'state_dict': {}, 'object': Path('x')}, tmp_path / 'epoch_1.pth')
    result = tool('train', QUICKSTART, '--resume', '--work-dir', tmp_path, cwd=tmp_path)
    assert '--trust' in sentence(result)
