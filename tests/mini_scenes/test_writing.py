"""Folders appear whole or not at all, once, and the same for any number of processes."""

import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from mtl.mini_scenes import ensure_nyud, ensure_pascal, write_pascal, writing
from mtl.mini_scenes.writing import Recipe

ARGUMENTS = dict(num_train=5, num_val=2, size=(16, 24), seed=3)


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def test_bytes_do_not_depend_on_jobs_or_process(tmp_path):
    one = contents(write_pascal(tmp_path / 'one', **ARGUMENTS))
    assert len(one) == 7 * 7 + 3
    assert contents(write_pascal(tmp_path / 'two', **ARGUMENTS, jobs=2)) == one
    assert contents(write_pascal(tmp_path / 'other', **{**ARGUMENTS, 'seed': 4})) != one


def test_training_and_validation_seeds_are_disjoint():
    for seed in (0, 1, 12345):
        recipe = Recipe('pascal', '', 3000, 500, (8, 8), seed, 'day')
        seeds = [scene_seed for _, scene_seed in recipe.samples()]
        assert len(set(seeds)) == 3500
        longer = Recipe('pascal', '', 3001, 600, (8, 8), seed, 'day').samples()
        assert set(recipe.samples()) <= set(longer)  # more images keep those there were


def test_ensure_makes_then_reuses(tmp_path):
    root = ensure_pascal(tmp_path / 'deep' / 'data', **ARGUMENTS)
    mark = (root / 'mini_scenes.json').stat().st_mtime_ns
    assert ensure_pascal(root, **ARGUMENTS, jobs=2) == root
    assert (root / 'mini_scenes.json').stat().st_mtime_ns == mark


def test_writing_fills_an_empty_folder_and_refuses_a_full_one(tmp_path):
    (tmp_path / 'data').mkdir()
    write_pascal(tmp_path / 'data', **ARGUMENTS)
    with pytest.raises(FileExistsError, match='absent or empty'):
        write_pascal(tmp_path / 'data', **ARGUMENTS)


def test_ensure_refuses_other_arguments_and_other_content(tmp_path):
    root = ensure_pascal(tmp_path / 'data', **ARGUMENTS)
    before = contents(root)
    with pytest.raises(FileExistsError, match=r"'num_train': 6.*'num_train': 5"):
        ensure_pascal(root, **{**ARGUMENTS, 'num_train': 6})
    with pytest.raises(FileExistsError, match="'layout': 'nyud'"):
        ensure_nyud(root, **ARGUMENTS)
    assert contents(root) == before
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'thesis.txt').write_text('precious')
    with pytest.raises(FileExistsError, match='not MiniScenes'):
        ensure_pascal(tmp_path / 'other', **ARGUMENTS)
    assert (tmp_path / 'other' / 'thesis.txt').read_text() == 'precious'


def test_an_interruption_leaves_nothing_and_the_next_attempt_works(tmp_path, monkeypatch):
    def interrupt(root, sample_id, scene):
        if sample_id == 'train_00002':
            raise KeyboardInterrupt
        real(root, sample_id, scene)

    real = writing.write_pascal_sample
    monkeypatch.setattr(writing, 'write_pascal_sample', interrupt)
    with pytest.raises(KeyboardInterrupt):
        ensure_pascal(tmp_path / 'data', **ARGUMENTS)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    monkeypatch.undo()
    ensure_pascal(tmp_path / 'data', **ARGUMENTS)


def test_leftovers_of_a_killed_process_are_swept(tmp_path):
    (tmp_path / '.data.unfinished' / 'depth').mkdir(parents=True)
    (tmp_path / '.data.unfinished' / 'depth' / 'stray.npy').write_bytes(b'')
    root = ensure_pascal(tmp_path / 'data', **ARGUMENTS)
    assert not (root / 'depth' / 'stray.npy').exists()


def _ensure(root):
    return ensure_pascal(root, **ARGUMENTS)


def test_two_processes_at_once_make_one_data_set(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(_ensure, [tmp_path / 'data'] * 4)) == [tmp_path / 'data'] * 4
    assert contents(tmp_path / 'data') == contents(write_pascal(tmp_path / 'alone', **ARGUMENTS))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(num_train=-1), 'num_train=-1'),
        (dict(seed=-3), 'seed=-3'),
        (dict(style='noon'), 'day, dusk'),
        (dict(edition='third'), 'mti, atrc'),
    ],
)
def test_wrong_arguments_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        ensure_nyud(tmp_path / 'data', **{**ARGUMENTS, **change})
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_the_command(tmp_path):
    tool = Path(__file__).parents[2] / 'tools' / 'make_mini_scenes.py'
    command = [sys.executable, str(tool), 'nyud', str(tmp_path / 'data'), '--num-train', '2', '--num-val', '1']
    command += ['--size', '16', '24', '--jobs', '2', '--edition', 'atrc', '--style', 'dusk']
    subprocess.run(command, check=True)
    assert len(list((tmp_path / 'data' / 'images').glob('*.png'))) == 3
    refused = subprocess.run([*command, '--seed', '5'], capture_output=True, text=True)
    assert refused.returncode == 2
    assert 'absent or empty' in refused.stderr
    assert 'Traceback' not in refused.stderr
