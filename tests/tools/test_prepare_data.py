"""The command: a table, the broken files by name, and a status."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mtl.mini_scenes import write_nyud

TOOL = Path(__file__).resolve().parents[2] / 'tools/prepare_data.py'


def prepare(*arguments):
    return subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_status_and_report(tmp_path):
    root = write_nyud(tmp_path / 'NYUD_MT', 2, 1, (16, 24), seed=0)
    whole = prepare('nyud', root, '--jobs', 2)
    assert whole.returncode == 0, whole.stderr
    assert (root / 'cache').is_dir()
    (root / 'depth/train_00001.npy').write_bytes(b'\x93NUMPY')
    broken = prepare('nyud', root, '--check')
    assert broken.returncode == 1
    assert (
        f'unreadable: NYUDv2: the label depth of sample train_00001 cannot be read from {root}/depth' in broken.stdout
    )
    assert ['depth', '3', '2', '0', '1', '0', '0', '0'] in [line.split() for line in broken.stdout.splitlines()]
    nowhere = prepare('pascal', tmp_path / 'nowhere')
    assert nowhere.returncode == 2
    assert 'make_mini_scenes.py pascal' in nowhere.stderr
    assert 'Traceback' not in nowhere.stderr


CONFIG = """
default_scope = 'mtl'
tasks = dict(semseg=dict(type='SemanticSegmentation', classes=['other', 'person']), depth=dict(type='Depth'))
files = dict(image='image/{id}.png', semseg='semseg/{id}.png', depth='depth/{id}.npy')
pipeline = [dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='Pack')]
own = dict(type='FolderDataset', data_root='own', files=files, tasks=tasks, pipeline=pipeline)
more = dict(own, data_root='more')
train_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ConcatDataset', datasets=[dict(own, split='*'), dict(more, split='*')]),
)
val_dataloader = dict(
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='RepeatDataset', times=2, dataset=dict(own, split='0*', test_mode=True)),
)
test_dataloader = val_dataloader
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """``run.py``, and two folders with the samples 00, 01, 10 and 11."""
    monkeypatch.chdir(tmp_path)
    for folder in ('own', 'more'):
        for part in ('image', 'semseg', 'depth'):
            (tmp_path / folder / part).mkdir(parents=True)
        for name in ('00', '01', '10', '11'):
            cv2.imwrite(f'{folder}/image/{name}.png', np.full((6, 8, 3), 90, np.uint8))
            cv2.imwrite(f'{folder}/semseg/{name}.png', np.ones((6, 8), np.uint8))
            np.save(f'{folder}/depth/{name}.npy', np.full((6, 8), 2.5, np.float32))
    Path('run.py').write_text(CONFIG)
    return tmp_path


def rows(output):
    """``{title: {row: [samples, good, missing, unreadable, wrong size, out of range, nothing known]}}``."""
    tables = {}
    for block in output.strip().split('\n\n'):
        title, *lines = block.splitlines()
        if len(lines) > 1 and lines[0].split()[:1] == ['samples']:
            tables[title.split(':')[0]] = {line.split()[0]: list(map(int, line.split()[1:])) for line in lines[1:]}
    return tables


def test_all_data_sets_of_a_config(run_tool, own):
    (own / 'more/semseg/11.png').unlink()
    status, output, error = run_tool('prepare_data', 'run.py', '--check', '--jobs', '2')
    assert status == 0, output + error
    assert output.splitlines()[-1] == '10 samples, 0 failures.'
    tables = rows(output)
    assert set(tables) == {'train, data set 1', 'train, data set 2', 'val and test'}
    assert tables['val and test'] == {name: [2, 2, 0, 0, 0, 0, 0] for name in ('image', 'semseg', 'depth')}
    assert tables['train, data set 2']['semseg'] == [4, 3, 1, 0, 0, 0, 0]  # a missing file is a missing label
    assert not list(own.rglob('cache'))


def test_equal_causes_are_said_once(run_tool, own):
    cv2.imwrite('own/semseg/00.png', np.full((6, 8), 7, np.uint8))
    cv2.imwrite('own/semseg/10.png', np.full((6, 8), 9, np.uint8))
    cv2.imwrite('own/semseg/11.png', np.full((3, 8), 1, np.uint8))
    for name in ('00', '01', '10'):
        Path('more/depth', f'{name}.npy').write_bytes(b'\x93NUMPY')
    Path('more/image/11.png').write_bytes(b'no picture')
    status, output, _ = run_tool('prepare_data', 'run.py', '--check')
    assert status == 1
    assert output.splitlines()[-1] == '10 samples, 8 failures.'
    said = [line for line in output.splitlines() if line.split(':')[0] in ('unreadable', 'wrong size', 'out of range')]
    assert len(said) == 4
    assert sum('semseg of sample 00 (own/semseg/00.png)' in line and '3 times in all: 10, 00' in line for line in said)
    assert sum('more/depth/00.npy' in line and line.endswith('3 times in all: 01, 10') for line in said) == 1
    assert sum('more/image/11.png' in line and 'times' not in line for line in said) == 1
    assert rows(output)['train, data set 1']['semseg'] == [4, 1, 0, 0, 1, 2, 0]
    status, output, _ = run_tool('prepare_data', 'run.py', '--check', '--all')
    assert status == 1
    assert 'times in all' not in output
    assert all(f'more/depth/{name}.npy' in output for name in ('00', '01', '10'))


def test_data_sets_that_are_not_there(run_tool, own):
    """The others are gone through; a task without any label is a path that is wrong."""
    for path in (own / 'own/depth').iterdir():
        path.unlink()
    for path in (own / 'more/image').iterdir():
        path.unlink()
    status, output, _ = run_tool('prepare_data', 'run.py', '--check')
    assert status == 1
    assert 'FolderDataset: no image matches' in output
    assert 'No sample of train, data set 1 has a label for depth' in output
    assert rows(output)['val and test']['semseg'] == [2, 2, 0, 0, 0, 0, 0]


def test_wrong_arguments_are_sentences(run_tool, own):
    Path('empty.py').write_text("default_scope = 'mtl'\n")
    for arguments, words in (
        (('nowhere.py', '--check'), 'no config nowhere.py'),
        (('empty.py', '--check'), 'no train_dataloader'),
        (('pascal', '--check'), 'in which folder'),
        (('run.py', 'own', '--check'), 'a folder belongs to pascal, nyud, ccp'),
        (('run.py', '--jobs', '0'), '--jobs is at least 1'),
        (('ccp', 'own', '--cfg-options', 'a=1'), '--cfg-options change a config'),
    ):
        status, _, error = run_tool('prepare_data', *arguments)
        assert status == 2, arguments
        assert words in error
