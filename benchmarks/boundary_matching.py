"""Seconds that the boundary benchmark takes for a map, and how it scales with workers.

python benchmarks/boundary_matching.py [PRED_DIR GT_DIR]

Without folders it makes maps of 321 x 481: wavy contours as five annotators would draw them, and a prediction that
follows them with noise. Repetitions of the variants are interleaved; printed are median and spread.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from skimage.morphology import thin

from mtl.evaluation.boundary.counts import count_image
from mtl.evaluation.boundary.files import Truth, find_pairs, read_prediction, read_truth
from mtl.evaluation.boundary.matching import match
from mtl.evaluation.boundary.pool import Protocol, count_all, default_workers
from mtl.evaluation.boundary.recipes import RECIPES, even_thresholds
from mtl.files import label_changes

MAX_DIST = 0.0075


def made_image(seed: int, annotators: int = 5, size: tuple[int, int] = (321, 481)) -> tuple[np.ndarray, Truth]:
    """A prediction (uint8) and drawings of the borders of smooth regions, each drawing slightly different."""
    random = np.random.default_rng(seed)
    field = gaussian_filter(random.standard_normal(size), 18)
    field /= field.std()

    def borders(noise: float) -> np.ndarray:
        moved = field + noise * gaussian_filter(random.standard_normal(size), 4) * 14
        return label_changes(np.floor(1.5 * moved).astype(np.int64)).astype(bool)

    strength = gaussian_filter(borders(0.05).astype(float), 1) * 2 + 0.3 * random.random(size) ** 8
    return np.uint8(np.clip(strength, 0, 1) * 255), Truth([borders(0.05) for _ in range(annotators)])


def interleaved(
    variants: dict[str, Callable[[], object]], repetitions: int, clock: Callable[[], float]
) -> dict[str, np.ndarray]:
    """Seconds ``[repetitions]`` of each variant, taken in turns so that the machine's mood hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repetitions):
        for name, run in variants.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return {name: np.array(values) for name, values in seconds.items()}


def show(title: str, seconds: dict[str, np.ndarray], per: int = 1) -> None:
    print(title)
    for name, values in seconds.items():
        low, middle, high = np.quantile(values / per, [0.1, 0.5, 0.9])
        print(f'  {name:<34} median {1e3 * middle:8.1f} ms   (10 to 90 %: {1e3 * low:.1f} to {1e3 * high:.1f})')


def one_map(images: list[tuple[np.ndarray, Truth]], threshold: float, repetitions: int) -> None:
    """Time the stages on one map at one threshold, in CPU seconds of this process."""
    prediction, truth = images[0]
    binary = prediction / 255 >= threshold
    thinned, radius = thin(binary), MAX_DIST * np.hypot(*prediction.shape)
    variants = {
        'thinning': lambda: thin(binary),
        'matching, one annotator': lambda: match(thinned, truth.maps[0], radius),
        'same, number of pairs only': lambda: match(thinned, truth.maps[0], radius, nearest=False),
        'same, with the losses': lambda: match(thinned, truth.maps[0], radius, losses=np.random.RandomState(0)),
        f'recipe bsds, {len(truth.maps)} annotators': lambda: count_image(
            prediction, truth.maps, RECIPES['bsds'], MAX_DIST, (threshold,)
        ),
        'recipe seism-nms, one annotator': lambda: count_image(
            prediction, truth.maps[:1], RECIPES['seism-nms'], MAX_DIST, (threshold,)
        ),
    }
    pixels = f'{thinned.sum()} predicted, {truth.maps[0].sum()} true pixels'
    show(
        f'one map {prediction.shape}, threshold {threshold:g}, {pixels}, CPU time',
        interleaved(variants, repetitions, time.process_time),
    )


def scaling(images: list[tuple[np.ndarray, Truth]], workers: list[int], repetitions: int) -> None:
    """Time a small evaluation with several numbers of workers, their start included, in seconds by the clock."""
    protocol = Protocol(RECIPES['seism-raw'], MAX_DIST, even_thresholds(19))
    with tempfile.TemporaryDirectory() as folder:
        pairs = []
        for index, (prediction, truth) in enumerate(images):
            pair = Path(folder, f'{index}_prediction.npy'), Path(folder, f'{index}_truth.npy')
            np.save(pair[0], prediction)
            np.save(pair[1], truth.maps[0].astype(np.uint8))
            pairs.append(pair)
        variants = {
            f'{count} workers': lambda count=count: list(count_all(protocol, pairs, count)) for count in workers
        }
        seconds = interleaved(variants, repetitions, time.perf_counter)
        show(f'{len(images)} images, 19 thresholds, an image, by the clock', seconds, per=len(images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs='*', type=Path, metavar='DIR', help='predictions and ground truths')
    parser.add_argument('--repetitions', type=int, default=7)
    parser.add_argument('--images', type=int, default=16, help='made images of the scaling part')
    args = parser.parse_args()
    if args.folders:
        images = [(read_prediction(p), read_truth(t)) for p, t in find_pairs(*args.folders).values()]
    else:
        images = [made_image(seed) for seed in range(args.images)]
    for threshold in (0.05, 0.2, 0.5):
        one_map(images, threshold, args.repetitions)
    scaling(images, sorted({1, 2, default_workers()}), repetitions=3)


if __name__ == '__main__':
    main()
