"""Verify every file of a data set, and cache the labels that are slow to read.

python tools/prepare_data.py pascal data/PASCAL_MT --jobs 8
python tools/prepare_data.py ccp data/ccp --check

Training reads the cache, `ROOT/cache`, as long as the files it was made from are unchanged. Making it may be
interrupted and goes on where it stopped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mtl.datasets.preparation import Findings, inspect
from mtl.datasets.progress import report_progress

DATASETS = {'pascal': 'PASCALContext', 'nyud': 'NYUDv2', 'ccp': 'ClothingCoParsing'}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', choices=DATASETS)
    parser.add_argument('root', type=Path, help='folder of the data set')
    parser.add_argument('--check', action='store_true', help='verify only, from the published files; write nothing')
    parser.add_argument('--jobs', type=int, default=1, help='processes (default: %(default)s)')
    args = parser.parse_args()
    try:
        found = prepare(DATASETS[args.dataset], args.root, args.check, args.jobs)
    except (FileNotFoundError, PermissionError) as error:
        parser.exit(2, f'error: {error}\n')
    except KeyboardInterrupt:
        parser.exit(130, 'Stopped. The same command goes on from here.\n')
    return 1 if found.problems else 0


def prepare(kind: str, root: Path, check: bool, jobs: int) -> Findings:
    """Go through all splits and say what was found."""
    if not check and root.is_dir():
        (root / 'cache').mkdir(exist_ok=True)  # where that is not allowed, say so before the work
    both, rows = Findings(), ['image']
    for split in ('train', 'val'):
        dataset, samples = inspect(kind, root, split, write_cache=not check, jobs=jobs)
        rows = ['image', *dataset.tasks]
        for found in report_progress(samples, len(dataset.ids), f'{kind}, {split}'):
            both.add(found)
    for problem in both.problems:
        print(f'{problem.kind}: {problem.message}')
    print(f'\n{kind} in {root}\n{both.table(rows)}')
    return both
