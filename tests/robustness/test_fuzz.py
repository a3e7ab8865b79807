"""A thousand damaged, odd or wrong inputs through the entry points that people use.

Whatever the input is: a right result or a sentence; no trace, no hang, no code run, nothing accepted that the rules
forbid. The mutations are drawn from a seed; FUZZ_SEED and FUZZ_SHARE (of a thousand) draw others, or more.
"""

import contextlib
import io
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtl.apis import InputError, MultiTaskInferencer
from mtl.cli.shared.configs import read_config
from mtl.cli.shared.running import UsageError
from mtl.datasets import FolderDataset, SampleError
from mtl.engine.config_check import ConfigKeyError
from mtl.errors import ExplainedError
from mtl.evaluation.boundary.pool import Protocol
from mtl.evaluation.boundary.recipes import RECIPES
from mtl.files import read_list
from mtl.mini_scenes import MiniScenes
from mtl.search.cache import EvaluationCache
from mtl.tasks import build_tasks

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings('ignore')]
SEED = int(os.environ.get('FUZZ_SEED', '0'))
SHARE = float(os.environ.get('FUZZ_SHARE', '1'))
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 30


def draws(name: str, count: int):
    """``count`` generators, each from the seed, the name and its number, so that one alone can be repeated."""
    for number in range(round(count * SHARE)):
        yield number, random.Random(f'{SEED} {name} {number}')


@contextlib.contextmanager
def in_time(what: str):
    """Fail where the body takes longer than :data:`SECONDS`."""

    def hang(*_):
        raise TimeoutError(f'{what} hangs')

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(call, *kinds):
    """``(result, None)``, or ``(None, what the error says)`` for an error of these kinds."""
    try:
        return call(), None
    except kinds as error:
        return None, str(error)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bytes as disks, transfers and people damage them."""
    data = bytearray(data)
    kind = draw.choice(['flip', 'flip', 'cut', 'zeros', 'insert', 'empty', 'noise', 'twice'])
    place = draw.randrange(max(1, len(data)))
    if kind == 'flip':
        for _ in range(draw.choice([1, 1, 4, 40])):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif kind == 'cut':
        del data[place:]
    elif kind == 'zeros':
        data[place : place + 64] = bytes(min(64, len(data) - place))
    elif kind == 'insert':
        data[place:place] = draw.randbytes(draw.randrange(1, 50))
    elif kind == 'empty':
        data = bytearray()
    elif kind == 'noise':
        data = bytearray(draw.randbytes(draw.randrange(1, 400)))
    else:
        data = data + data
    return bytes(data)


def odd_array(draw: random.Random) -> np.ndarray:
    """Arrays of every kind, most of which are no label of anything."""
    shape = draw.choice([(8, 9), (8, 9, 1), (1, 8, 9), (8, 9, 3), (8, 9, 4), (3, 8, 9), (8,), (), (0, 9), (8, 9, 2)])
    dtype = draw.choice(['u1', 'u2', 'i2', 'i4', 'i8', 'f2', 'f4', 'f8', '?', 'c8', 'U3', 'O'])
    rng = np.random.default_rng(draw.randrange(1 << 30))
    values = rng.integers(0, draw.choice([1, 2, 3, 256, 257, 70000]), shape)
    if draw.random() < 0.3:
        values = values - draw.choice([1, 300])
    with np.errstate(all='ignore'):
        result = np.asarray(values).astype(dtype) if dtype != 'O' else np.asarray(values).astype(object)
    if result.dtype.kind == 'f' and result.size and draw.random() < 0.4:
        result = np.array(result)
        result[rng.random(result.shape) < draw.choice([0.1, 1.0])] = draw.choice([np.nan, np.inf, -np.inf])
    return result


@pytest.fixture(autouse=True)
def no_stale_streams(monkeypatch):
    """MMEngine's logger writes to the standard error of the test that made it, which is closed by now."""
    monkeypatch.setattr('logging.raiseExceptions', False)


@pytest.fixture
def quiet(monkeypatch):
    """Warnings of what is dropped are not printed a thousand times."""
    for module in (
        'mtl.files',
        'mtl.datasets.base',
        'mtl.evaluation.boundary.pool',
        'mtl.search.cache',
        'mtl.datasets.cache',
    ):
        monkeypatch.setattr(f'{module}.print_log', lambda *_, **__: None)


def test_pictures(run_tool, trained_run, tmp_path):
    """250: read as a picture of their size, or refused in a sentence; a few through the tool itself."""
    _, checkpoint, _ = trained_run()
    inferencer = MultiTaskInferencer(checkpoint, show_progress=False)
    rng = np.random.default_rng(SEED)
    photograph = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
    originals = []
    for name, mode, options in (
        ('a.png', 'RGB', {}), ('b.jpg', 'RGB', {}), ('c.jpg', 'CMYK', {}), ('d.gif', 'P', {}), ('e.png', 'P', {}),
        ('f.tif', 'RGB', {}), ('g.webp', 'RGB', {}), ('h.png', '1', {}), ('i.bmp', 'RGB', {}), ('j.png', 'I;16', {}),
        ('k.tif', 'F', {}),
    ):  # fmt: skip
        buffer = io.BytesIO()
        grey = photograph.convert('L')
        picture = (
            Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == 'I;16'
            else Image.fromarray(np.asarray(grey).astype(np.float32)) if mode == 'F'
            else photograph.convert(mode)
        )  # fmt: skip
        picture.save(buffer, format={'jpg': 'JPEG', 'tif': 'TIFF'}.get(name[2:], name[2:].upper()), **options)
        originals.append((name, buffer.getvalue()))
    for number, draw in draws('pictures', 250):
        name, data = draw.choice(originals)
        path = tmp_path / f'{number}_{name}'
        path.write_bytes(damaged(data, draw))
        with in_time(path.name):
            if number % 12 == 0:
                status, _, error = run_tool('image_demo', path, checkpoint, '--out-dir', tmp_path / 'drawn')
                assert status in (0, 2), error
                assert 'Traceback' not in error
                continue
            result, error = outcome(lambda path=path: inferencer(path), InputError)
            if error is not None:
                assert path.name in error
            else:
                maps = result['predictions']
                height, width = maps['semseg'].shape
                assert height * width < 80_000_000
                assert maps['normals'].shape == (3, height, width)
        path.unlink()


TASKS = dict(
    semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
    saliency=dict(type='Saliency'),
    normals=dict(type='SurfaceNormals'),
    depth=dict(type='Depth'),
    edge=dict(type='Boundary'),
)


def test_labels(tmp_path, quiet):
    """250: a label that its task allows, or a sentence with file and sample."""
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / 'a.png')
    (tmp_path / 'list').write_text('a')
    tasks = build_tasks(TASKS)
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels')]
    for number, draw in draws('labels', 250):
        name = draw.choice(list(TASKS))
        suffix = draw.choice(['.npy', '.png', '.npz'])
        path = tmp_path / f'label_{number}_a{suffix}'
        array = odd_array(draw)
        if suffix == '.npy':
            np.save(path, array, allow_pickle=True)
        elif suffix == '.npz':
            np.savez(path, *[array] * draw.choice([1, 1, 2]))
        else:
            try:
                Image.fromarray(array).save(path)
            except Exception:  # no picture can be made of it
                path.write_bytes(draw.randbytes(50))
        if draw.random() < 0.4:
            path.write_bytes(damaged(path.read_bytes(), draw))
        file = dict(path=f'label_{number}_{{id}}{suffix}')
        if draw.random() < 0.3:
            file['values'] = {draw.choice([0, 1, 255, 65535, -1]): draw.choice([0, 1, 255])}
        if draw.random() < 0.2:
            file['scale'] = draw.choice([0.001, 1 / 512])
        data = FolderDataset(
            tmp_path, dict(image='{id}.png', **{name: file}), {name: TASKS[name]}, split='a*', pipeline=pipeline
        )
        with in_time(str(path)):
            sample, error = outcome(lambda data=data: data[0], SampleError)
            if error is not None:
                assert path.name in error
                assert 'sample a' in error
            else:
                label = sample[f'gt_{name}']
                assert tasks[name].fault(label) is None
                assert label.shape[:2] == (8, 9)
                assert label.dtype == (np.uint8 if name in ('semseg', 'saliency', 'edge') else np.float32)
                assert np.isfinite(label).all()
                assert path.suffix != '.npy' or array.dtype != object
        path.unlink()


def test_lists(tmp_path, quiet):
    """100: ids that are ids, or a sentence with the list's name."""
    original = '\r\n'.join(f'sample_{number:03d}' for number in range(20)).encode()
    for number, draw in draws('lists', 100):
        data = draw.choice([original, b'\xef\xbb\xbf' + original, original.decode().encode('utf-16'), b'', b'\n\n'])
        path = tmp_path / f'list_{number}.txt'
        path.write_bytes(damaged(data, draw) if draw.random() < 0.7 and data else data)
        ids, error = outcome(lambda path=path: read_list(path), ValueError)
        if error is not None:
            assert path.name in error
        else:
            assert ids
            assert len(set(ids)) == len(ids)
            assert all(i.strip() == i and i and '\ufeff' not in i[:1] and '\0' not in i for i in ids)


def test_checkpoints(run_tool, trained_run, tmp_path):
    """120: the network that was saved, or a sentence."""
    _, checkpoint, _ = trained_run()
    image = tmp_path / 'a.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(image)
    expected = MultiTaskInferencer(checkpoint, show_progress=False)(image)['predictions']
    original = checkpoint.read_bytes()
    for number, draw in draws('checkpoints', 120):
        path = tmp_path / 'damaged.pth'
        path.write_bytes(damaged(original, draw))
        with in_time(f'checkpoint {number}'):
            if number % 6 == 0:
                status, _, error = run_tool('misc/publish_checkpoint', path, tmp_path / 'out.pth')
                assert status in (0, 2), error
                assert 'Traceback' not in error
                assert '--trust' not in error
                continue
            found, error = outcome(
                lambda path=path: MultiTaskInferencer(path, show_progress=False)(image)['predictions'], ExplainedError
            )
            if error is not None:
                assert path.name in error
            else:
                assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_safetensors(run_tool, trained_run, tmp_path):
    """80: through a tool that builds the backbone from them."""
    from safetensors.torch import save_file

    config, _, _ = trained_run()
    state = torch.load(tmp_path / 'base.pth', weights_only=True)
    save_file(
        {key.removeprefix('backbone.'): value.contiguous() for key, value in state.items()},
        tmp_path / 'base.safetensors',
    )
    original = (tmp_path / 'base.safetensors').read_bytes()
    path = tmp_path / 'damaged.safetensors'
    text = config.read_text() + f"\nmodel['backbone']['pretrained'] = {str(path)!r}\n"
    config.write_text(text)
    for number, draw in draws('safetensors', 80):
        path.write_bytes(damaged(original, draw))
        with in_time(f'safetensors {number}'):
            status, _, error = run_tool('analysis/get_flops', config, '--shape', 56, 56)
            assert status in (0, 2), error
            assert 'Traceback' not in error


def test_caches(tmp_path, quiet):
    """100: what comes out is what comes out without a cache."""
    from mtl.evaluation.boundary.files import Truth
    from mtl.models.slimmable import WidthConfig

    rng = np.random.default_rng(0)
    strengths, truth = rng.random((20, 30)), Truth([rng.random((20, 30)) > 0.7])
    protocol = Protocol(RECIPES['bsds'], 0.02, (0.3, 0.6), tmp_path / 'counts')
    expected = protocol.count(strengths, truth)
    (kept,) = (tmp_path / 'counts').iterdir()
    original = kept.read_bytes()
    for _, draw in draws('counts', 40):
        kept.write_bytes(damaged(original, draw))
        assert np.array_equal(protocol.count(strengths, truth), expected)
        kept.write_bytes(original)

    width = WidthConfig.uniform(0.5, 2, ('depth',))
    cache = EvaluationCache(tmp_path, 'x', lambda _: {'depth': 1.0})
    assert cache(width) == {'depth': 1.0}
    line = cache.path.read_bytes()
    for _, draw in draws('evaluations', 30):
        cache.path.write_bytes(damaged(line, draw))
        again = EvaluationCache(tmp_path, 'x', lambda _: {'depth': 1.0})
        assert again(width) == {'depth': 1.0}
        assert EvaluationCache(tmp_path, 'x', lambda _: pytest.fail('not kept'))(width)

    scenes = dict(num_train=1, num_val=0, size=(48, 48), split='train')
    labels = MiniScenes(tmp_path / 'scenes', **scenes)
    right = labels.read_label('edge', labels.ids[0])
    (stored,) = (tmp_path / 'scenes/cache/edge').glob('*.png')
    original = stored.read_bytes()
    for _, draw in draws('labels in a cache', 30):
        stored.write_bytes(damaged(original, draw))
        found = MiniScenes(tmp_path / 'scenes', **scenes).read_label('edge', labels.ids[0])
        assert np.array_equal(found, right)
        stored.write_bytes(original)


def test_config_overrides(quiet):
    """100: a key of the config is taken or refused, an unknown key is always refused."""
    config = str(ROOT / 'configs/quickstart.py')
    known = [
        'optim_wrapper.optimizer.lr', 'train_dataloader.batch_size', 'model.backbone.adapters.rank',
        'model.decoder.channels', 'model.slimming.samples', 'train_cfg.max_epochs', 'param_scheduler.1.T_max',
        'default_hooks.logger.interval', 'model.tasks.semseg.loss_weight', 'train_dataloader.dataset.num_train',
        'optim_wrapper.clip_grad',
    ]  # fmt: skip
    for _, draw in draws('overrides', 100):
        key = draw.choice(known)
        wrong = draw.random() < 0.6
        if wrong:
            parts = key.split('.')
            at = draw.choice([0, len(parts) - 1])
            letters = list(parts[at])
            letters.insert(draw.randrange(len(letters)), draw.choice('xyzq'))
            parts[at] = ''.join(letters)
            key = '.'.join(parts)
        value = draw.choice([1, 2, 0.5, -1, 0, None, 'text', [1], {'a': 1}, True])
        _, error = outcome(lambda key=key, value=value: read_config(config, {key: value}), ConfigKeyError, UsageError)
        assert error if wrong else error != '', key
