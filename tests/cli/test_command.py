"""The command `mtl`: in a process of its own, from a folder that is not the checkout, and out of a wheel."""

import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import pytest

from mtl import __version__, shipped
from mtl.cli import commands

ROOT = Path(__file__).resolve().parents[2]


def mtl(*arguments, cwd):
    command = [sys.executable, '-m', 'mtl', *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=None, timeout=120)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setenv('PYTHONPATH', str(ROOT))


def test_the_list_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from mtl.cli import main; sys.argv = ['mtl', '--help']; main(); "
        "assert not {'torch', 'mmengine', 'cv2', 'numpy'} & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for name, does in commands().items():
        assert f'{name} ' in result.stdout
        assert does in result.stdout
    assert 'mtl train quickstart' in result.stdout


def test_every_command_has_a_main_and_a_script():
    """A script in tools/ runs the same code; run_onnx.py stands alone, so that it can be copied."""
    scripts = {
        line.split("'")[1].replace('_', '-')
        for path in (ROOT / 'tools').rglob('*.py')
        for line in path.read_text().splitlines()
        if line.startswith('    run(')
    }
    assert scripts == set(commands())
    for name in commands():
        assert callable(import_module(f'mtl.cli.{name.replace("-", "_")}').main)


def test_wrong_commands(tmp_path):
    result = mtl('trian', cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr == (
        "error: mtl has no subcommand 'trian'. Did you mean `mtl train`? `mtl --help` lists them.\n"
    )
    result = mtl('train', 'nothing', cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith('error: There is no config nothing. The configs that come with the project are in ')


def test_a_config_by_its_name_from_any_folder(tmp_path):
    result = mtl('print-config', 'quickstart', cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert 'slimming=dict(' in result.stdout
    result = mtl('print-config', '--help', cwd=tmp_path)
    assert 'usage: mtl print-config' in result.stdout


def test_a_file_here_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.find_config('quickstart') == ROOT / 'configs/quickstart.py'
    assert shipped.find_config('configs/quickstart.py') == ROOT / 'configs/quickstart.py'
    Path('quickstart').write_text('a = 1')
    assert shipped.find_config('quickstart') == Path('quickstart')
    assert shipped.find_config('mtlora/mtlora_swin_hrnet_nyud') == ROOT / 'configs/mtlora/mtlora_swin_hrnet_nyud.py'
    assert shipped.find_config('mtlora') is None


@pytest.mark.slow
def test_wheel(tmp_path):
    """What a wheel holds is enough: an installed package finds its configs and weights, and no checkout is near."""
    source = tmp_path / 'source'  # a build leaves files in its folder
    for name in ('mtl', 'configs', 'checkpoints'):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'setup.cfg', 'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--wheel-dir', str(tmp_path), str(source)]
    result = subprocess.run(build, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (wheel,) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / 'installed')
        entry_points = next(name for name in names if name.endswith('entry_points.txt'))
        assert 'mtl = mtl.cli:main' in archive.read(entry_points).decode()
    for folder, pattern in (('configs', '**/*.py'), ('checkpoints', '*.safetensors')):
        for file in (ROOT / folder).glob(pattern):
            assert f'mtl/shipped/{file.relative_to(ROOT)}' in names
    package = [file for file in (ROOT / 'mtl').rglob('*') if file.is_file() and '__pycache__' not in file.parts]
    assert {str(file.relative_to(ROOT)) for file in package} <= set(names)  # data and py.typed, too
    assert not [name for name in names if not name.startswith(('mtl/', f'mtl-{__version__}.dist-info/'))]
    assert not [name for name in names if 'test_' in name or 'conftest' in name]

    code = (
        'import mtl; from mtl.cli.shared.configs import read_config; from mtl.registry import MODELS; '
        "MODELS.build(read_config('quickstart').model); print(mtl.__file__)"
    )
    environment = {'PYTHONPATH': str(tmp_path / 'installed'), 'PATH': '/usr/bin:/bin', 'HOME': str(tmp_path)}
    result = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    assert str(tmp_path) in result.stdout
