"""Verify every file of a data set, and cache the labels that are slow to read.

    python tools/prepare_data.py pascal data/PASCAL_MT --jobs 8
    python tools/prepare_data.py ccp data/ccp --check
    python tools/prepare_data.py configs/quickstart.py --check

Of a config, every data set of its loaders is verified; a label that is missing there is counted and is not a failure.
Training reads the cache, `ROOT/cache`, as long as the files it was made from are unchanged. Making it may be
interrupted and goes on where it stopped. The exit status is 1 where a file is not as it should be.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import DictAction

from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError, sentence
from mtl.datasets.preparation import Findings, Problem, data_sets_of, inspect, inspect_config, told_once
from mtl.progress import report_progress

DATASETS = {'pascal': 'PASCALContext', 'nyud': 'NYUDv2', 'ccp': 'ClothingCoParsing'}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', metavar='DATASET', help=f'{", ".join(DATASETS)}, or a config file')
    parser.add_argument('root', type=Path, nargs='?', help='folder of the data set; a config says it itself')
    parser.add_argument('--check', action='store_true', help='verify only, from the published files; write nothing')
    parser.add_argument('--all', action='store_true', help='name every file, not one for each cause')
    parser.add_argument('--jobs', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE', help='change the config'
    )
    args = parser.parse_args()
    named = args.dataset in DATASETS
    if args.jobs < 1:
        parser.error(f'--jobs is at least 1; found {args.jobs}.')
    if named and args.root is None:
        parser.error(f'say in which folder it lies: prepare_data.py {args.dataset} FOLDER.')
    if args.root is not None and not named:
        parser.error(f'a folder belongs to {", ".join(DATASETS)}; {args.dataset!r} is none of them.')
    if args.cfg_options and named:
        parser.error('--cfg-options change a config; name its file.')
    try:
        if named:
            found = prepare(DATASETS[args.dataset], args.root, args.check, args.jobs, args.all)
        else:
            found = prepare_config(read_config(args.dataset, args.cfg_options), args.check, args.jobs, args.all)
    except (FileNotFoundError, PermissionError) as error:
        parser.exit(2, f'error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(130, 'Stopped. The same command goes on from here.\n')
    return 1 if found.problems else 0


def prepare(kind: str, root: Path, check: bool, jobs: int, every: bool = False) -> Findings:
    """Go through all splits and say what was found."""
    if not check and root.is_dir():
        (root / 'cache').mkdir(exist_ok=True)  # where that is not allowed, say so before the work
    both, rows = Findings(), ['image']
    for split in ('train', 'val'):
        options = dict(type=kind, data_root=root, split=split)
        dataset, samples = inspect(options, write_cache=not check, jobs=jobs)
        rows = ['image', *dataset.tasks]
        for found in report_progress(samples, len(dataset.ids), f'{kind}, {split}'):
            both.add(found)
    say(both, every)
    print(f'\n{kind} in {root}\n{both.table(rows)}')
    return both


def prepare_config(config: Mapping, check: bool, jobs: int, every: bool = False) -> Findings:
    """Go through the data sets of all loaders and say what was found.

    Raises:
        UsageError: the config has none.
    """
    data_sets = data_sets_of(config)
    if not data_sets:
        raise UsageError('The config has no train_dataloader, val_dataloader or test_dataloader with a data set.')
    total, tables = Findings(), []
    for where, dataset in data_sets.items():
        title = f'{where}: {dataset.get("type")} in {dataset.get("data_root", "no data_root")}'
        try:
            rows, count, samples = inspect_config(dataset, write_cache=not check, jobs=jobs)
        except Exception as error:  # a data set of anybody's, which may fail in any way
            message = f'The data set of {where}: {sentence(error)}'
            total.problems.append(Problem('data set', 'unreadable', message, files=(f'data set of {where}',)))
            tables.append(f'{title}\ncannot be built')
            continue
        found = Findings()
        for each in report_progress(samples, count, where):
            found.add(each)
        if not count:
            found.problems.append(Problem(where, 'missing', f'The data set of {where} has no sample.'))
        for name, absent in found.absent.items():
            if absent == count:
                message = f'No sample of {where} has a label for {name}; leave the task out there, or mend the path.'
                found.problems.append(Problem(name, 'missing', message))
        total.add(found)
        tables.append(f'{title}\n{found.table(rows)}')
    say(total, every)
    print(*(f'\n{table}' for table in tables), sep='\n')
    print(f'\n{total.samples} samples, {len(total.problems)} failures.')
    return total


def say(found: Findings, every: bool) -> None:
    """Print the problems: each, or each cause once."""
    lines = [f'{each.kind}: {each.message}' for each in found.problems] if every else told_once(found.problems)
    for line in lines:
        print(line)
