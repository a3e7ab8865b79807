"""Run an exported network on images. It needs numpy, opencv-python and onnxruntime, nothing else: copy it freely.

    python tools/deploy/run_onnx.py model.onnx photograph.jpg --out drawn
    python tools/deploy/run_onnx.py model.onnx *.jpg --out drawn --size 640 480

For each image and task a picture <name>.<task>.png is written, and <name>.npz with the maps themselves: class ids,
probabilities, unit vectors [3, H, W] (x right, y down, z towards the camera), metres.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='file written by tools/deploy/export.py')
    parser.add_argument('images', nargs='+', metavar='IMAGE')
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder to write to')
    parser.add_argument(
        '--size', nargs=2, type=int, metavar=('H', 'W'), help='run at this size (a file of --dynamic-size)'
    )
    args = parser.parse_args()
    if args.size and min(args.size) < 1:
        parser.error(f'--size takes two numbers from 1 on; found {args.size[0]} {args.size[1]}.')
    return args


def main() -> None:
    args = parse_args()
    session, about = load(args.model)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.images:
        image = read(name)
        logits = run(session, prepare(image, about['input'], args.size))
        maps = {task: predict(logits[task], meaning, image.shape[:2]) for task, meaning in about['tasks'].items()}
        save(args.out / f'{Path(name).stem}.npz', lambda file, maps=maps: np.savez_compressed(file, **maps))
        for task, values in maps.items():
            picture = draw(values, about['tasks'][task])
            data = cv2.imencode('.png', picture[..., ::-1])[1].tobytes()
            save(args.out / f'{Path(name).stem}.{task}.png', lambda file, data=data: file.write(data))
    print(f'{len(args.images)} images, {", ".join(about["tasks"])}: in {args.out}')


def read(name: str) -> np.ndarray:
    """An image file, BGR, upright."""
    try:
        image = cv2.imread(name) if Path(name).is_file() else None
    except cv2.error as error:  # more pixels than OpenCV reads
        fail(f'{name} cannot be read by OpenCV ({error.err}).')
    if image is None:
        fail(f'{name} is not an image that OpenCV can read.')
    return image


def save(path: Path, write: Callable) -> None:
    """Write a file; where that fails, on a full disk for instance, say so and leave no part of it."""
    try:
        with open(path, 'wb') as file:
            write(file)
    except OSError as error:
        path.unlink(missing_ok=True)
        fail(f'{path} cannot be written ({error.strerror}).')


def load(path: str) -> tuple[onnxruntime.InferenceSession, dict]:
    """The network, and what its file says of it."""
    if not Path(path).is_file():
        fail(f'There is no file {path}.')
    try:
        session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    except Exception as error:  # onnxruntime's errors share no class
        fail(f'{path} is not an ONNX file that onnxruntime can run ({str(error)[:200]}).')
    about = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    if not {'input', 'tasks'} <= about.keys():
        fail(f'{path} does not say what its inputs and outputs mean: it was not written by tools/deploy/export.py.')
    for task in about['tasks']:
        if not re.fullmatch(r'\w[\w-]*', task):  # it becomes a part of the names of files
            fail(f'{path} calls a task {task!r}; a task is called by letters, digits, _ and -.')
    return session, about


def prepare(image: np.ndarray, about: dict, size: list[int] | None = None) -> np.ndarray:
    """``[1, 3, H, W]`` float32 from a BGR image."""
    (height, width), (new_height, new_width) = image.shape[:2], size or about['size']
    if about['keep_ratio'] and size is None:
        scale = min(new_height / height, new_width / width)
        new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    shrinks = new_height * new_width < height * width
    image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    image = image[..., ::-1] if about['colours'] == 'rgb' else image
    normalised = (image.astype(np.float32) - np.float32(about['mean'])) / np.float32(about['std'])
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def run(session: onnxruntime.InferenceSession, image: np.ndarray) -> dict[str, np.ndarray]:
    """Logits ``[C, H, W]`` by task."""
    (wanted,) = session.get_inputs()
    for found, allowed in zip(image.shape, wanted.shape, strict=True):
        if isinstance(allowed, int) and found != allowed:
            fail(f'The network takes {wanted.shape}, the image gives {list(image.shape)}: export with --dynamic-size.')
    outputs = session.run(None, {wanted.name: image})
    return {output.name: values[0] for output, values in zip(session.get_outputs(), outputs, strict=True)}


def predict(logits: np.ndarray, meaning: dict, size: tuple[int, int]) -> np.ndarray:
    """The map of a task at the size ``(H, W)`` of the image."""
    values = np.stack([cv2.resize(channel, size[::-1], interpolation=cv2.INTER_LINEAR) for channel in logits])
    kind = meaning['prediction']
    if kind == 'class':
        return values.argmax(0).astype(np.uint8)
    if kind == 'probability':
        return 1 / (1 + np.exp(-values[0]))
    if kind == 'direction':
        return values / np.maximum(np.linalg.norm(values, axis=0), 1e-6)
    return values[0].clip(0) if kind == 'metres' else values


def draw(values: np.ndarray, meaning: dict) -> np.ndarray:
    """Picture of a map, RGB uint8 ``[H, W, 3]``."""
    kind = meaning['prediction']
    if kind == 'class':
        return np.array(meaning['palette'], np.uint8)[values]
    if kind == 'direction':
        return ((values.transpose(1, 2, 0) + 1) * 127.5).round().astype(np.uint8)
    if kind == 'probability':
        grey = (values * 255).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if kind == 'metres':
        nearness = 255 - (values / meaning['max_depth'] * 255).clip(0, 255).round().astype(np.uint8)
    else:
        nearness = cv2.normalize(values[0], None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    return cv2.applyColorMap(nearness, cv2.COLORMAP_VIRIDIS)[..., ::-1]


def fail(sentence: str) -> None:
    print(f'error: {sentence}', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
    main()
