"""Kill runs at random moments, let them go on, and compare with runs that nobody killed.

    python tests/robustness/kills.py --count 100 --seed 0

Each kind of work is killed with SIGKILL at moments drawn at random over its length, several times over, until it ends
by itself: training (and with it saving), making MiniScenes, preparing a data set, evaluating boundaries, searching a
width. What it leaves in the end must be what an uninterrupted run leaves; no process of it may be alive after a kill,
and nothing that a kill has left may be taken for a result.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
KINDS = ('train', 'scenes', 'prepare', 'boundaries', 'search')

TINY = """
_base_ = ['{root}/configs/quickstart.py']
scenes = dict(data_root='{scenes}', num_train=8, num_val=2, size=(64, 64))
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(**scenes))
val_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(**scenes))
test_dataloader = val_dataloader
input_size = (64, 64)
model = dict(
    backbone=dict(
        img_size=(64, 64), embed_dim=8, depths=(1, 1), num_heads=(1, 2), pretrained=None, allow_random_init=True,
        adapters=dict(rank=2, task_rank=2, dropout=0.2),
    ),
    decoder=dict(level_channels=(4, 8), out_channels=8),
    slimming=dict(begin=4, samples=2, sort=True),
    init_cfg=None,
)
train_cfg = dict(max_epochs=3, val_interval=9)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(
        type="CosineAnnealingLR", eta_min_ratio=1e-2, begin=1, end=3, T_max=2, by_epoch=True,
        convert_to_iter_based=True,
    ),
]
default_hooks = dict(logger=dict(interval=1), panels=dict(count=1))
"""


@dataclass(frozen=True)
class Work:
    """A command that can be killed and given again.

    Args:
        first, again: its arguments, and those after a kill.
        result: what it has left, to be compared.
    """

    first: list[str]
    again: list[str]
    result: Callable[[], object]


def tool(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / 'tools' / name), *map(str, arguments)]


def works(kind: str, folder: Path, shared: Path) -> Work:
    """The work of a kind, in a folder of its own; ``shared`` holds what all need."""
    config = shared / 'tiny.py'
    if kind == 'train':
        command = tool('train.py', config, '--work-dir', folder / 'run')
        return Work(command, [*command, '--resume'], lambda: weights_and_losses(folder / 'run'))
    if kind == 'scenes':
        size = ('--num-train', 12, '--num-val', 2, '--size', 64, 64, '--jobs', 2)
        command = tool('make_mini_scenes.py', 'pascal', folder / 'scenes', *size)
        return Work(command, command, lambda: contents(folder / 'scenes'))
    if kind == 'prepare':
        if not (folder / 'data').exists():
            shutil.copytree(shared / 'scenes', folder / 'data', ignore=shutil.ignore_patterns('cache'))
        command = tool('prepare_data.py', 'pascal', folder / 'data', '--jobs', 2)
        return Work(command, command, lambda: pictures(folder / 'data/cache'))
    if kind == 'boundaries':
        options = ('--recipe', 'bsds', '--thresholds', 9, '--workers', 2, '--cache', folder / 'cache')
        command = tool(
            'analysis/eval_boundary.py', shared / 'maps', shared / 'truth', *options, '--out', folder / 'scores.json'
        )
        return Work(command, command, lambda: json.loads((folder / 'scores.json').read_text()))
    command = tool(
        'search_width.py', config, shared / 'run/epoch_3.pth', '--budget', 'GMACs=1', '--out', folder / 'search'
    )
    command += ['--evaluations', '12', '--images', '2']
    return Work(command, command, lambda: json.loads((folder / 'search/width.json').read_text()))


def contents(folder: Path) -> dict:
    """Every file and what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def pictures(folder: Path) -> dict:
    """Every cached map; files of a process that was killed have names with a dot in front, and are no maps."""
    found = (path for path in sorted(folder.rglob('*.png')) if not path.name.startswith('.'))
    return {str(path.relative_to(folder)): cv2.imread(str(path), cv2.IMREAD_UNCHANGED).tobytes() for path in found}


def weights_and_losses(folder: Path) -> tuple:
    """The last checkpoint's weights, and the losses of each iteration, of the last time it was made."""
    losses = {}
    for log in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in log.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:  # a line that a kill has cut
                continue
            if 'loss' in row:
                losses[row['iter']] = {key: value for key, value in row.items() if key.startswith('loss')}
    state = torch.load(folder / 'epoch_3.pth', weights_only=False)['state_dict']
    return losses, {name: value.numpy().tobytes() for name, value in state.items()}


def run_to_the_end(command: list[str], cwd: Path) -> float:
    """Run it in ``cwd``; the seconds it took.

    Raises:
        RuntimeError: it failed.
    """
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), cwd=cwd, check=False)
    if done.returncode:
        raise RuntimeError(f'{command} ended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}')
    return time.monotonic() - start


def environment() -> dict[str, str]:
    return {**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)}


def kill_once(command: list[str], after: float, cwd: Path) -> bool:
    """Start the command in ``cwd``, kill it ``after`` seconds; whether it was still running.

    Raises:
        AssertionError: a process of it is alive seconds later.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        else:
            return False
    for _ in range(200):
        left = of_session(process.pid)
        if not left:
            return True
        time.sleep(0.05)
    raise AssertionError(f'{command} was killed, and {left} of it are alive ten seconds later.')


def of_session(session: int) -> list[int]:
    """Processes of a session that are no zombies."""
    found = []
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            fields = (entry / 'stat').read_text().rsplit(')', 1)[1].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != 'Z':
            found.append(int(entry.name))
    return found


def prepare(shared: Path) -> None:
    """What all kinds of work need: scenes, a config, a trained network, boundary maps."""
    run_to_the_end(
        tool('make_mini_scenes.py', 'pascal', shared / 'scenes', '--num-train', 8, '--num-val', 2, '--size', 64, 64),
        shared,
    )
    (shared / 'tiny.py').write_text(TINY.format(root=ROOT, scenes=shared / 'scenes'))
    rng = np.random.default_rng(0)
    for name in ('maps', 'truth'):
        (shared / name).mkdir()
    for index in range(12):
        soft = cv2.resize(rng.random((9, 9)), (80, 60))
        cv2.imwrite(str(shared / f'maps/{index}.png'), (soft * 255).astype(np.uint8))
        cv2.imwrite(str(shared / f'truth/{index}.png'), ((soft > 0.6) * 255).astype(np.uint8))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--count', type=int, default=100, help='kills in all (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the moments (default: %(default)s)')
    parser.add_argument('--kinds', nargs='+', choices=KINDS, default=KINDS)
    args = parser.parse_args(arguments)
    draw, kills = random.Random(args.seed), 0
    with tempfile.TemporaryDirectory() as scratch:
        shared = Path(scratch, 'shared')
        shared.mkdir()
        prepare(shared)
        if 'search' in args.kinds:
            run_to_the_end(tool('train.py', shared / 'tiny.py', '--work-dir', shared / 'run'), shared)
        expected, seconds = {}, {}
        for kind in args.kinds:
            folder = Path(scratch, f'{kind}-whole')
            folder.mkdir()
            work = works(kind, folder, shared)
            seconds[kind] = run_to_the_end(work.first, folder)
            expected[kind] = work.result()
        rounds = 0
        while kills < args.count:
            kind = args.kinds[rounds % len(args.kinds)]
            folder = Path(scratch, f'{kind}-{rounds}')
            folder.mkdir()
            work, command = works(kind, folder, shared), None
            for _ in range(draw.randint(1, 4)):
                command = work.first if command is None else work.again
                kills += kill_once(command, draw.uniform(0.1, 1.05) * seconds[kind], folder)
            run_to_the_end(work.again, folder)
            if work.result() != expected[kind]:
                print(f'{kind}, round {rounds}: the result is not that of an uninterrupted run.')
                return 1
            print(f'{kills} kills: {kind} ended as if nobody had killed it', flush=True)
            shutil.rmtree(folder)
            rounds += 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
