"""Training samples per second and core: the published order of operations, ours from the files, ours from the cache.

    python benchmarks/data_loading.py --nyud data/NYUD_MT --out data_loading.json
    python benchmarks/data_loading.py --data pascal --pascal data/PASCAL_MT --samples 64

`published` does what the public loaders of PASCAL-Context and NYUD-v2 do, in their order, written anew here: every
label is read from the archive's files and turned into floats, then the image (cubic) and the labels (nearest) are
flipped, moved and resized as floats, one after the other. `files` and `cache` are the pipelines of
`configs/_base_/datasets`, which draw the same kinds of moves. All give batches of the same size. Normalising the image
is left out: ours does it on the device, the published one in the loader.

Without a folder, MiniScenes in the layout of the archive and of its size stand in, made in a temporary folder; the
output says so. The cache is always temporary. `pascal_edge` has boundaries as a fifth task. Everything runs in one
thread, in turns, so that other work on the machine slows all; rates are of medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from scipy.io import loadmat
from timing import seconds
from torch.utils.data import default_collate

import mtl
from mtl.datasets import MultiTaskDataset
from mtl.datasets.nyudv2 import DEPTH_STEP
from mtl.datasets.pascal_context import HUMAN_PARTS, PERSON, classes_with_normals
from mtl.files import label_changes
from mtl.mini_scenes import write_nyud, write_pascal
from mtl.registry import DATASETS

DATA = ('pascal', 'pascal_edge', 'nyud')
CONFIGS = Path(mtl.__file__).parents[1] / 'configs/_base_/datasets'
SIZES = dict(pascal=(375, 500), nyud=(480, 640))  # of most images of the archives
WRITERS = dict(pascal=write_pascal, nyud=write_nyud)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', choices=DATA, default=list(DATA))
    parser.add_argument('--pascal', type=Path, metavar='FOLDER', help='PASCAL-Context; otherwise MiniScenes')
    parser.add_argument('--nyud', type=Path, metavar='FOLDER', help='NYUD-v2; otherwise MiniScenes')
    parser.add_argument('--samples', type=int, default=32, help='how many are read in a round')
    parser.add_argument('--size', type=int, nargs=2, metavar=('H', 'W'), help='of MiniScenes; as the archive otherwise')
    parser.add_argument('--batch', type=int, default=8, help='samples that are collated')
    parser.add_argument('--rounds', type=int, default=5, help='timed rounds, after one that is not counted')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='cpu')
    parser.add_argument('--out', type=Path, help='write the numbers as JSON')
    args = parser.parse_args()
    args.device = 'cpu'
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    report = dict(
        machine=f'{platform.machine()}, one thread, OpenCV {cv2.__version__}, torch {torch.__version__}',
        settings={key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items()},
        data=[],
    )
    for name in args.data:
        with tempfile.TemporaryDirectory() as scratch:
            result = measure(name, Path(scratch), args)
        report['data'].append(result)
        print(as_table(result))
    if args.out:
        args.out.write_text(json.dumps(report, indent=2) + '\n')


# ---- the published order --------------------------------------------------------------------------------------------


def read_floats(path: Path) -> np.ndarray:
    """A picture or a NumPy file as float32."""
    values = np.load(path) if path.suffix == '.npy' else np.array(Image.open(path))
    return values.astype(np.float32)


def published_pascal(dataset: MultiTaskDataset, sample_id: str) -> dict[str, np.ndarray]:
    """Image and labels of PASCAL-Context as floats; both Matlab files are parsed every time."""
    semseg, parts_file, saliency = (
        dataset.label_files(name, sample_id)[0] for name in ('semseg', 'human_parts', 'saliency')
    )
    normals_file, classes_file = dataset.label_files('normals', sample_id)
    image = np.array(Image.open(dataset.image_path(sample_id)).convert('RGB')).astype(np.float32)

    parts = np.zeros(image.shape[:2], np.float32)
    for entry in loadmat(parts_file)['anno'][0][0][1][0]:
        if entry[1] == PERSON and len(entry[3]):
            for part in entry[3][0]:
                if str(part[0][0]) in HUMAN_PARTS:
                    parts[part[1] == 1] = HUMAN_PARTS[str(part[0][0])]

    vectors = 2 * read_floats(normals_file) / 255 - 1
    classes = loadmat(classes_file)['LabelMap']
    normals = np.zeros_like(vectors)
    for label in np.intersect1d(np.unique(classes), classes_with_normals()):
        normals[classes == label] = vectors[classes == label]
    salient = (read_floats(saliency) > 127).astype(np.float32)
    sample = dict(img=image, semseg=read_floats(semseg), human_parts=parts, saliency=salient, normals=normals)
    if 'edge' in dataset.tasks:
        sample['edge'] = label_changes(loadmat(classes_file)['LabelMap']).astype(np.float32)
    return sample


def published_nyud(dataset: MultiTaskDataset, sample_id: str) -> dict[str, np.ndarray]:
    """Image and labels of NYUD-v2 as floats, from the kinds of files that the folder holds."""
    image = np.array(Image.open(dataset.image_path(sample_id)).convert('RGB')).astype(np.float32)
    files = {name: dataset.label_files(name, sample_id)[0] for name in dataset.tasks}
    semseg, depth, normals, edge = (read_floats(files[name]) for name in ('semseg', 'depth', 'normals', 'edge'))
    semseg = np.where(semseg == 0, 255, semseg - 1).astype(np.float32)
    depth = depth * np.float32(DEPTH_STEP) if files['depth'].suffix == '.png' else depth
    normals = 2 * normals / 255 - 1 if files['normals'].suffix == '.png' else normals
    edge = (edge > 127).astype(np.float32) if files['edge'].suffix == '.png' else edge
    return dict(img=image, semseg=semseg, depth=depth, normals=normals, edge=edge)


def each(sample: dict[str, np.ndarray], work: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Put the image through ``work`` with cubic interpolation and the labels with the nearest pixel."""
    for name, values in sample.items():
        sample[name] = work(values, cv2.INTER_CUBIC if name == 'img' else cv2.INTER_NEAREST)


def flip(sample: dict[str, np.ndarray]) -> None:
    """Mirror every second sample."""
    if np.random.random() < 0.5:
        each(sample, lambda values, _: cv2.flip(values, 1))
        sample['normals'][..., 0] *= -1


def rotate_and_zoom(sample: dict[str, np.ndarray]) -> None:
    """PASCAL-Context: up to 20 degrees, 0.75 to 1.25."""
    angle, zoom = np.random.uniform(-20, 20), np.random.uniform(0.75, 1.25)
    height, width = sample['img'].shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)
    each(sample, lambda values, kind: cv2.warpAffine(values, matrix, (width, height), flags=kind))
    turn = np.deg2rad(angle)
    x, y = sample['normals'][..., 0].copy(), sample['normals'][..., 1].copy()
    sample['normals'][..., 0] = x * np.cos(turn) + y * np.sin(turn)
    sample['normals'][..., 1] = y * np.cos(turn) - x * np.sin(turn)


def zoom_and_crop(sample: dict[str, np.ndarray]) -> None:
    """NYUD-v2: 1, 1.2 or 1.5 times larger, then a window of the old size."""
    zoom = np.random.choice([1.0, 1.2, 1.5])
    height, width = sample['img'].shape[:2]
    each(sample, lambda values, kind: cv2.resize(values, None, fx=zoom, fy=zoom, interpolation=kind))
    sample['depth'] = sample['depth'] / np.float32(zoom)
    top = np.random.randint(sample['img'].shape[0] - height + 1)
    left = np.random.randint(sample['img'].shape[1] - width + 1)
    each(sample, lambda values, _: values[top : top + height, left : left + width])


def to_tensors(sample: dict[str, np.ndarray], size: tuple[int, int]) -> dict[str, torch.Tensor]:
    """Resize, mark what is unknown, channels first."""
    each(sample, lambda values, kind: cv2.resize(values, size[::-1], interpolation=kind))
    unknown = np.sqrt((sample['normals'] ** 2).sum(axis=2)) == 0
    sample['normals'][unknown] = 255
    if 'human_parts' in sample and (sample['human_parts'] == 0).all():
        sample['human_parts'][:] = 255
    for name, values in sample.items():
        channels = values[..., None] if values.ndim == 2 else values
        sample[name] = torch.from_numpy(channels.astype(np.float32).transpose(2, 0, 1))
    return sample


READ = dict(pascal=published_pascal, nyud=published_nyud)
MOVES = dict(pascal=(flip, rotate_and_zoom), nyud=(zoom_and_crop, flip))


# ---- measuring ------------------------------------------------------------------------------------------------------


def measure(name: str, scratch: Path, args: argparse.Namespace) -> dict:
    """Milliseconds a sample (median, least, most), samples a second, and ratios to `published`, by order."""
    archive, _, edge = name.partition('_')
    root, source = getattr(args, archive), f'{name}: {getattr(args, archive)}'
    if root is None:
        size = tuple(args.size or SIZES[archive])
        root = WRITERS[archive](scratch / archive, args.samples, 0, size, seed=0)
        source = f'{name}: MiniScenes in the layout of {archive}, {size[0]} x {size[1]}'
    config = Config.fromfile(CONFIGS / f'{archive}.py')
    options = dict(config.train_dataloader.dataset, data_root=root)
    if edge:
        options['tasks'] = dict(options['tasks'], edge=dict(type='Boundary'))
    files = DATASETS.build(dict(options, cache_root=None))
    count = min(args.samples, len(files))
    filling = DATASETS.build(dict(options, cache_root=scratch / 'cache', fill_cache=True))
    for index in range(count):
        filling[index]
    cached = DATASETS.build(dict(options, cache_root=scratch / 'cache'))

    def published(index: int) -> dict[str, torch.Tensor]:
        sample = READ[archive](files, files.ids[index])
        for move in MOVES[archive]:
            move(sample)
        return to_tensors(sample, config.img_size)

    def run(load: Callable[[int], dict], collate: Callable[[list], dict]) -> None:
        np.random.seed(0)
        for start in range(0, count, args.batch):
            collate([load(index) for index in range(start, min(start + args.batch, count))])

    check_labels(files, READ[archive](files, files.ids[0]))
    loads = dict(
        published=(published, default_collate),
        files=(lambda index: files[index], pseudo_collate),
        cache=(lambda index: cached[index], pseudo_collate),
    )
    times: dict[str, list[float]] = {key: [] for key in loads}
    for _ in range(1 + args.rounds):
        for key, (load, collate) in loads.items():
            times[key].append(seconds(lambda load=load, collate=collate: run(load, collate), args) / count)
    counted = {key: values[1:] for key, values in times.items()}
    medians = {key: statistics.median(values) for key, values in counted.items()}
    return dict(
        data=source,
        samples=count,
        milliseconds={key: [1e3 * t for t in (medians[key], min(v), max(v))] for key, v in counted.items()},
        samples_per_second={key: 1 / median for key, median in medians.items()},
        ratios={
            key: [medians['published'] / medians[key], min(counted['published']) / min(counted[key])]
            for key in ('files', 'cache')
        },
    )


def check_labels(dataset: MultiTaskDataset, published: dict[str, np.ndarray]) -> None:
    """Raise ``AssertionError`` where both orders do not start from the same class maps."""
    for name in published.keys() & {'semseg', 'human_parts', 'saliency'}:
        label = dataset.read_label(name, dataset.ids[0])
        if not (label == dataset.tasks[name].ignore_value).all():  # a picture without a person
            np.testing.assert_array_equal(label, published[name], err_msg=name)


def as_table(result: dict) -> str:
    """The result as lines of text."""
    lines = [f'{result["data"]}, {result["samples"]} samples: median ms a sample (least to most), samples a second']
    for name, (median, least, most) in result['milliseconds'].items():
        ratios = result['ratios'].get(name)
        ratio = '{:.1f} ({:.1f} of the least) times published'.format(*ratios) if ratios else ''
        rate = result['samples_per_second'][name]
        lines.append(f'  {name:10s}{median:7.1f} ({least:.1f} to {most:.1f}){rate:8.1f}  {ratio}')
    return '\n'.join(lines)


if __name__ == '__main__':
    main()
