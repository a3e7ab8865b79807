"""Verify every file of a data set, or of all data sets of a config, and cache the labels that are slow to read.

    python tools/prepare_data.py pascal data/PASCAL_MT --jobs 8
    python tools/prepare_data.py ccp data/ccp --check
    python tools/prepare_data.py configs/quickstart.py --check

Training reads the cache, `ROOT/cache`, as long as the files it was made from are unchanged. Making it may be
interrupted and goes on where it stopped. Of a config, nothing is written, and labels may be missing: they are counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from mtl.datasets.preparation import Findings, Problem, inspect
from mtl.datasets.progress import report_progress

DATASETS = {'pascal': 'PASCALContext', 'nyud': 'NYUDv2', 'ccp': 'ClothingCoParsing'}
SHOWN = 10  # problems of one kind that are printed one by one


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', help=f'{", ".join(DATASETS)}; or a config, whose data sets are all checked')
    parser.add_argument('root', type=Path, nargs='?', help='folder of the data set; of a config, it says where')
    parser.add_argument('--check', action='store_true', help='verify only, from the published files; write nothing')
    parser.add_argument('--jobs', type=int, default=1, help='processes (default: %(default)s)')
    args = parser.parse_args()
    known = args.dataset in DATASETS
    if known == (args.root is None):
        names = ', '.join(DATASETS)
        parser.error(
            f'{args.dataset} needs its folder, ROOT.'
            if known
            else f'Expected {names}, or a config alone, without ROOT.'
        )
    try:
        if known:
            return prepare(DATASETS[args.dataset], args.root, args.check, args.jobs)
        return check_config(args.dataset, args.jobs)
    except (FileNotFoundError, PermissionError) as error:
        parser.exit(2, f'error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(130, 'Stopped. The same command goes on from here.\n')


def prepare(kind: str, root: Path, check: bool, jobs: int) -> int:
    """Go through both splits and say what was found; 1 if something was."""
    if not check and root.is_dir():
        (root / 'cache').mkdir(exist_ok=True)  # where that is not allowed, say so before the work
    options = [dict(type=kind, data_root=root, split=split) for split in ('train', 'val')]
    both, rows = go_through(options, not check, jobs)
    show(both.problems)
    print(f'\n{kind} in {root}\n{both.table(rows)}')
    return 1 if both.problems else 0


def check_config(config: str, jobs: int) -> int:
    """Go through all data sets of a config; 1 if an image, or a label that is there, is not as it should be."""
    from mtl.engine.launch import read_config

    status = 0
    for options in data_sets(read_config(config)):
        found, rows = go_through([options], False, jobs)
        faults = [problem for problem in found.problems if problem.of == 'image' or problem.kind != 'missing']
        show(faults)
        print(f'\n{options["type"]} in {options.get("data_root", "")}, {options.get("split", "")}\n{found.table(rows)}')
        status |= bool(faults)
    return status


def data_sets(config: Mapping) -> list[dict]:
    """The data sets of all data loaders, each once: those inside a ``ConcatDataset`` or another wrapper one by one."""
    found: list[dict] = []
    for part in ('train', 'val', 'test'):
        for dataset in _leaves((config.get(f'{part}_dataloader') or {}).get('dataset')):
            options = {key: value for key, value in dataset.items() if key not in ('pipeline', 'test_mode')}
            if options not in found:
                found.append(options)
    return found


def _leaves(dataset: Mapping | None) -> Iterator[Mapping]:
    if dataset is not None:
        inside = dataset.get('datasets') or ([dataset['dataset']] if 'dataset' in dataset else [])
        for inner in inside:
            yield from _leaves(inner)
        if not inside:
            yield dataset


def go_through(data_sets: list[dict], write_cache: bool, jobs: int) -> tuple[Findings, list[str]]:
    """What is found in all samples, and the rows of its table."""
    found, rows = Findings(), ['image']
    for options in data_sets:
        dataset, samples = inspect(options, write_cache, jobs)
        rows = ['image', *dataset.tasks]
        for of_sample in report_progress(samples, len(dataset.ids), f'{options["type"]}, {options.get("split", "")}'):
            found.add(of_sample)
    return found, rows


def show(problems: list[Problem]) -> None:
    """Print them, of each kind the first few: one cause often has as many as there are files."""
    groups: dict = {}
    for problem in problems:
        groups.setdefault((problem.of, problem.kind), []).append(problem)
    for (of, kind), group in groups.items():
        for problem in group[:SHOWN]:
            print(f'{kind}: {problem.message}')
        if len(group) > SHOWN:
            print(f'{kind}: {len(group) - SHOWN} more of {of}')
