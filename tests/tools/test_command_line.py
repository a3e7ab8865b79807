"""Wrong inputs at the command line: one sentence, status 2, no traceback, before anything is built."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def refused(run_tool, monkeypatch, tmp_path):
    """``refused(tool, *arguments)``: run a script of ``tools/`` that ends with status 2, and give its error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')

    def run(name, *arguments):
        status, _, error = run_tool(name, *arguments)
        assert status == 2, error
        assert 'Traceback' not in error
        assert error.count('error: ') == 1
        return error[error.index('error: ') :]

    return run


QUICKSTART = ROOT / 'configs' / 'quickstart.py'
PASCAL = ROOT / 'configs' / 'mtlora_swin_pascal.py'


def test_a_config_that_does_not_exist(refused):
    assert 'nowhere.py' in refused('train', 'nowhere.py')


def test_modules_of_a_config_that_are_not_on_the_path(refused, tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("custom_imports = dict(imports=['nowhere_to_be_found'], allow_failed_imports=False)\n")
    error = refused('train', config)
    assert 'nowhere_to_be_found' in error
    assert 'PYTHONPATH=' in error


def test_an_unknown_task_lists_the_known(refused):
    error = refused('train', QUICKSTART, '--tasks', 'semseg', 'colour')
    for name in ('semseg', 'human_parts', 'saliency', 'normals', 'edge', "'colour'"):
        assert name in error


def test_a_checkpoint_that_does_not_exist(refused):
    assert 'nowhere.pth' in refused('test', QUICKSTART, 'nowhere.pth')
    assert 'nowhere.pth' in refused('train', QUICKSTART, '--resume', 'nowhere.pth')


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_mixed_precision_and_cluster_launchers_need_a_gpu(refused):
    assert '--amp' in refused('train', QUICKSTART, '--amp')
    assert 'torchrun' in refused('train', QUICKSTART, '--launcher', 'slurm')


def test_missing_data_stop_before_the_model_is_built(refused, tmp_path):
    """The message names the folder, its layout and the command for a stand-in, before any weights are looked for."""
    root = tmp_path / 'PASCAL_MT'
    error = refused('train', PASCAL, '--cfg-options', f'data_root={root}', 'model.backbone.pretrained=nowhere.pth')
    assert str(root) in error
    assert 'JPEGImages' in error
    assert 'make_mini_scenes.py pascal' in error


def test_a_checkpoint_with_code_is_refused(refused, tmp_path):
    torch.save({'state_dict': {}, 'object': Path('x')}, tmp_path / 'epoch_1.pth')
    assert '--trust' in refused('train', QUICKSTART, '--resume', '--work-dir', tmp_path)
