"""odsF, oisF and AP of boundary maps.

python tools/analysis/eval_boundary.py PRED_DIR GT_DIR --recipe seism-nms --max-dist 0.0075

PRED_DIR holds <id>.png (8 or 16 bits) or <id>.npy (probabilities); GT_DIR holds <id>.mat (BSDS groundTruth, or
PASCAL-Context LabelMap), <id>.png or <id>.npy (1 boundary, 0 not, 255 unknown). Counts of finished images are kept in
the cache folder: after an interruption the same command continues.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from mtl.evaluation.boundary.counts import best_counts, recall_precision_f, scores
from mtl.evaluation.boundary.files import find_pairs
from mtl.evaluation.boundary.pool import Protocol, count_all, default_workers
from mtl.evaluation.boundary.recipes import RECIPES, even_thresholds
from mtl.files import read_list
from mtl.writing import write_text


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('predictions', type=Path, metavar='PRED_DIR')
    parser.add_argument('truths', type=Path, metavar='GT_DIR')
    parser.add_argument('--recipe', choices=RECIPES, required=True)
    parser.add_argument(
        '--max-dist',
        type=float,
        default=0.0075,
        help='share of the image diagonal: 0.0075 for PASCAL-Context and BSDS (default), 0.011 for NYUD-v2',
    )
    parser.add_argument('--list', type=Path, help='file with the image ids to evaluate, one per line (default: all)')
    parser.add_argument('--thresholds', type=int, metavar='N', help="k / (N + 1) instead of the recipe's own")
    parser.add_argument('--workers', type=int, default=default_workers(), help='processes (default: all cores)')
    parser.add_argument('--cache', type=Path, default=Path('work_dirs/eval_boundary'), metavar='DIR')
    parser.add_argument('--out', type=Path, metavar='JSON', help='write scores, thresholds and counts there')
    parser.add_argument('--verbose', action='store_true', help='also print recall, precision and F by threshold')
    return parser.parse_args()


def main() -> None:
    try:
        evaluate(parse_args())
    except KeyboardInterrupt:
        sys.exit('Interrupted. Finished images are in the cache: the same command continues from here.')


def evaluate(args: argparse.Namespace) -> None:
    """Count, report, and write what was asked for."""
    thresholds = even_thresholds(args.thresholds) if args.thresholds else None
    protocol = Protocol(RECIPES[args.recipe], args.max_dist, thresholds, args.cache)
    pairs = find_pairs(args.predictions, args.truths, read_list(args.list) if args.list else None)
    ready = count_all(protocol, list(pairs.values()), args.workers)
    progress = track(ready, 'images', total=len(pairs), console=Console(stderr=True))
    total = np.zeros((len(protocol.used_thresholds), 4), np.int64)
    best = np.zeros(4, np.int64)
    for _, counts in progress:
        total += counts
        best += best_counts(counts)
    report(protocol, total, best, len(pairs), args.verbose)
    if args.out:
        content = {
            **scores(total, best),
            'protocol': str(protocol),
            'images': len(pairs),
            'thresholds': protocol.used_thresholds,
            'counts (matched truth, truth, matched predictions, predictions)': total.tolist(),
        }
        write_text(args.out, json.dumps(content, indent=2) + '\n')


def report(protocol: Protocol, total: np.ndarray, best: np.ndarray, images: int, verbose: bool) -> None:
    """Print the scores, with all that they depend on."""
    recall, precision, f = recall_precision_f(total)
    if verbose:
        print('threshold    recall  precision         F')
        for row in zip(protocol.used_thresholds, recall, precision, f, strict=True):
            print('{:9.6f} {:9.6f}  {:9.6f} {:9.6f}'.format(*row))
    at = int(f.argmax())
    values = ', '.join(f'{name} {value:.4f}' for name, value in scores(total, best).items())
    print(f'{values} (in %; {protocol}, {images} images)')
    print(f'best threshold {protocol.used_thresholds[at]:g}: recall {recall[at]:.6f}, precision {precision[at]:.6f}')
