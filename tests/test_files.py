"""The one reader of pictures and the one of maps, on files as people have them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mtl.apis.inputs import Pictures
from mtl.datasets import FolderDataset, SampleError
from mtl.datasets.transforms import LoadImage
from mtl.evaluation.boundary.files import find_pairs, read_truth, white_is_unknown
from mtl.evaluation.boundary.files import read_prediction as read_strengths
from mtl.evaluation.prediction_files import read_prediction
from mtl.files import load_mat, mask, probabilities, read_list, read_map, read_picture, visible
from mtl.tasks import build_tasks

GREY = np.kron(np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4), np.ones((4, 4), np.uint8))
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=2)
LOADED = [dict(type='LoadImage'), dict(type='LoadLabels')]
TASKS = build_tasks(
    dict(
        semseg=dict(type='SemanticSegmentation', classes=['floor', 'wall', 'box']),
        saliency=dict(type='Saliency'),
        normals=dict(type='SurfaceNormals'),
        depth=dict(type='Depth'),
        edge=dict(type='Boundary'),
    )
)


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.npy':
        np.save(path, values)
    else:
        (values if isinstance(values, Image.Image) else Image.fromarray(values)).save(path, **options)
    return path


# ---- pictures -----------------------------------------------------------------------------------------------------


def pictures():
    """Name, what is stored, options of saving, what is right, and how far compression may be from it."""
    grey, palette = np.repeat(GREY[..., None], 3, axis=2), Image.fromarray(GREY).convert('P')
    alpha = np.concatenate([RGB, np.full((*GREY.shape, 1), 7, np.uint8)], axis=2)
    yield 'grey.png', GREY, {}, grey, 0
    yield 'grey16.png', GREY.astype(np.uint16) * 257, {}, grey, 0
    yield 'float.tiff', GREY.astype(np.float32) / 255, {}, grey, 0
    yield 'grey16.tiff', GREY.astype(np.uint16) * 257, {}, grey, 0
    yield 'palette.png', palette, {}, grey, 0
    yield 'bit.png', Image.fromarray(GREY > 100), {}, np.where(grey > 100, 255, 0), 0
    yield 'alpha.png', alpha, {}, RGB, 0
    yield (
        'grey_alpha.png',
        Image.fromarray(alpha).convert('LA'),
        {},
        np.asarray(Image.fromarray(RGB).convert('L').convert('RGB')),
        0,
    )
    yield 'cmyk.jpg', Image.fromarray(RGB).convert('CMYK'), dict(quality=95), RGB, 40
    yield 'lossless.webp', RGB, dict(lossless=True), RGB, 0
    yield 'still.gif', palette, {}, grey, 0


@pytest.mark.parametrize(
    ('name', 'stored', 'options', 'right', 'error'), pictures(), ids=lambda v: v if isinstance(v, str) else ''
)
def test_all_kinds_of_pictures(tmp_path, name, stored, options, right, error):
    """The same in training and in inference."""
    path = save(tmp_path / name, stored, **options)
    found = read_picture(path)
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - right).max() <= error
    assert np.array_equal(LoadImage().transform(dict(img_path=str(path)))['img'][..., ::-1], found)
    (picture,) = Pictures(path)
    assert np.array_equal(picture.image, found)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_pictures_are_upright_in_training_and_in_inference(tmp_path, orientation):
    stored = {1: 0, 2: None, 3: 2, 4: None, 5: None, 6: 1, 7: None, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    marked = np.zeros((40, 60, 3), np.uint8)
    marked[:20, :30] = 255, 255, 0  # where the viewer sees it
    path = tmp_path / 'a.png'
    if stored is None:
        flips = {
            2: marked[:, ::-1],
            4: marked[::-1],
            5: marked.transpose(1, 0, 2),
            7: marked[::-1, ::-1].transpose(1, 0, 2),
        }
        turned = flips[orientation]
    else:
        turned = np.rot90(marked, stored)
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    assert np.array_equal(read_picture(path), marked)
    assert np.array_equal(LoadImage().transform(dict(img_path=str(path)))['img'][..., ::-1], marked)
    assert np.array_equal(next(iter(Pictures(path))).image, marked)


def test_sizes_are_known_before_decoding(tmp_path, monkeypatch):
    monkeypatch.setattr('mtl.files.MAX_PIXELS', 1000)
    path = save(tmp_path / 'large.png', np.zeros((40, 50), np.uint8))
    monkeypatch.setattr(Image.Image, 'load', lambda self: pytest.fail('decoded'))
    for read in (read_picture, read_map):
        with pytest.raises(ValueError, match='50 x 40 pixels; at most'):
            read(path)
    (picture,) = Pictures(path)
    assert picture.image is None
    assert '50 x 40 pixels' in picture.fault


def test_floats_of_an_unknown_scale(tmp_path):
    with pytest.raises(ValueError, match='from 0 to 300; expected 0 to 65535'):
        read_picture(save(tmp_path / 'a.tiff', np.linspace(0, 300, 12, dtype=np.float32).reshape(3, 4)))


# ---- maps ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """``folder(task, values, **file)``: the label of a sample whose file holds ``values``."""
    save(tmp_path / 'images/a.png', np.zeros((3, 4, 3), np.uint8))

    def label(task, stored, suffix='.npy', **file):
        name = f'labels/{task}{suffix}'
        save(tmp_path / name.replace(task, f'{task}_a'), stored)
        files = dict(image='images/{id}.png', **{task: dict(path=name.replace(task, f'{task}_{{id}}'), **file)})
        data = FolderDataset(tmp_path, files, {task: TASKS[task]}, split='*', pipeline=LOADED)
        return data[0][f'gt_{task}']

    return label


IDS = np.array([[0, 1, 2, 2], [1, 1, 1, 255], [0, 0, 2, 1]], np.uint8)


def test_masks_of_one_bit(folder):
    truth = IDS == 1
    for values in (None, {255: 1}, {1: 1}):
        file = {} if values is None else dict(values=values)
        assert np.array_equal(folder('saliency', Image.fromarray(truth), '.png', **file), truth)
        assert np.array_equal(folder('saliency', truth, **file), truth)
    assert np.array_equal(folder('saliency', truth.astype(np.uint8) * 255, '.png', values={255: 1}), truth)


def test_class_ids_of_every_kind_of_file(folder):
    palette = Image.fromarray(IDS, 'P')
    palette.putpalette([value for value in range(256) for _ in range(3)][::-1])
    alpha = np.stack([IDS, IDS, IDS, np.full_like(IDS, 9)], axis=2)
    for stored, suffix in ((IDS, '.png'), (palette, '.png'), (alpha[..., :3], '.png'), (alpha, '.png')):
        assert np.array_equal(folder('semseg', stored, suffix), IDS)
    for stored in (IDS.astype(np.int64), IDS.astype(np.float32), IDS[..., None].astype(np.uint16)):
        assert np.array_equal(folder('semseg', stored), IDS)
    wide = np.where(IDS == 255, 1000, IDS.astype(np.int32))
    assert np.array_equal(folder('semseg', wide, values={1000: 255}), IDS)
    assert np.array_equal(folder('semseg', wide - 1, values={-1: 0, 0: 1, 1: 2, 999: 255}), IDS)


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        (np.where(IDS == 0, 256, IDS.astype(int)), r'holds 256; class ids .*values=\{256: 255\}'),
        (IDS.astype(int) - 1, 'holds -1; class ids'),
        (IDS + 0.5, 'not class ids'),
        (np.where(IDS == 0, np.nan, IDS), 'not class ids'),
        (np.stack([IDS, IDS[::-1], IDS], axis=2), r'picture of colours.*colours='),
        (np.float64(3), 'expected numbers'),
        (np.array([['a']]), 'expected numbers'),
    ],
)
def test_what_cannot_be_meant_as_classes(folder, values, words):
    with pytest.raises(SampleError, match=rf'semseg.*sample a.*semseg_a\.npy.*{words}'):
        folder('semseg', values)


def test_colours_that_stand_for_classes(folder):
    colours = {(255, 0, 0): 0, (0, 255, 0): 1, (0, 0, 255): 2, (0, 0, 0): 255}
    lookup = np.zeros((256, 3), np.uint8)
    for colour, index in colours.items():
        lookup[index] = colour
    assert np.array_equal(folder('semseg', lookup[IDS], '.png', colours=colours), IDS)
    text = {','.join(map(str, colour)): index for colour, index in colours.items()}
    assert np.array_equal(folder('semseg', lookup[IDS], '.png', colours=text), IDS)
    with pytest.raises(SampleError, match=r'colour \(0, 0, 0\) is not among'):
        folder('semseg', lookup[IDS], '.png', colours={key: value for key, value in colours.items() if value != 255})


def test_depth_that_is_infinite_or_missing(folder):
    metres = np.array([[np.inf, 2, 3, np.nan], [1, -np.inf, 8, 2], [1, 2, 3, 4]], np.float32)
    expected = np.where(np.isfinite(metres), metres, 0)
    for stored in (metres, metres.astype(np.float64)[..., None]):
        found = folder('depth', stored)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected)
    for wrong, words in ((-metres, 'negative'), (metres * 1000, 'looks like millimetres')):
        with pytest.raises(SampleError, match=words):  # the rest is still looked at
            folder('depth', wrong)


def test_a_code_for_unknown_in_16_bits(folder):
    steps = np.array([[0, 512, 1024, 65535], [5120, 65535, 100, 1]], np.uint16)
    steps = np.concatenate([steps, steps[:1]])
    expected = np.where(steps == 65535, 0, steps) / 512
    assert np.allclose(folder('depth', steps, '.png', values={65535: 0}, scale=1 / 512), expected)
    assert np.allclose(folder('depth', steps, '.png', values={0: 0, 65535: 0}, scale=1 / 512), expected)


def test_normals_that_are_not_numbers(folder):
    normals = np.zeros((3, 4, 3), np.float32)
    normals[..., 2] = 1
    normals[0, 0] = np.nan
    normals[1, 1, 0] = np.inf
    found = folder('normals', normals)
    assert np.array_equal(found[0, 0], [0, 0, 0])
    assert np.array_equal(found[1, 1], [0, 0, 0])
    assert (np.linalg.norm(found, axis=2) == 1).sum() == 10
    normals[2, 2] *= 2
    with pytest.raises(SampleError, match='must hold unit or zero vectors; 1 are neither'):
        folder('normals', normals)


def test_masks_of_either_scale():
    truth = IDS == 1
    for stored in (truth, truth.astype(np.uint8), truth.astype(np.uint8) * 255, truth * 1.0, truth * np.uint16(255)):
        assert np.array_equal(mask(stored), truth)
    with pytest.raises(ValueError, match='from 0 to 65535'):
        mask(truth * np.uint16(65535))


# ---- predictions --------------------------------------------------------------------------------------------------


def test_class_maps_of_other_codebases(tmp_path):
    palette = Image.fromarray(IDS, 'P')
    palette.putpalette(list(range(256)) * 3)
    save(tmp_path / 'semseg/a.png', palette)
    assert np.array_equal(read_prediction(tmp_path, 'semseg', TASKS['semseg'], 'a').numpy(), IDS)
    save(tmp_path / 'semseg/b.npy', np.where(IDS == 0, 256, IDS.astype(np.int32)))
    with pytest.raises(ValueError, match=r'semseg of sample b, .*b\.npy: it holds 256'):
        read_prediction(tmp_path, 'semseg', TASKS['semseg'], 'b')


def test_probabilities_of_every_scale(tmp_path):
    share = np.array([[0.0, 0.25], [0.5, 1.0]])
    for index, (stored, error) in enumerate(
        [
            (share, 0),
            (share.astype(np.float16), 0),
            ((share * 255).round().astype(np.uint8), 0.002),
            ((share * 65535).round().astype(np.uint16), 1e-5),
        ]
    ):
        np.testing.assert_allclose(probabilities(stored), share, atol=error)
        save(tmp_path / f'saliency/{index}.npy', stored)
        found = read_prediction(tmp_path, 'saliency', TASKS['saliency'], str(index)).numpy()
        np.testing.assert_allclose(found, share, atol=error)
    certain = share > 0.4
    for stored in (certain, certain.astype(np.uint8), certain.astype(np.int64)):
        assert np.array_equal(probabilities(stored), certain)
        path = save(tmp_path / 'edge.npy', stored)
        strengths = read_strengths(path)
        assert np.array_equal(strengths, certain)
        assert strengths.dtype != np.uint8  # in which 1 would be 1 of 255
    for wrong in (share * 255, share - 0.1, np.where(certain, np.nan, share), (share * 255).astype(np.int64)):
        save(tmp_path / 'saliency/wrong.npy', wrong)
        with pytest.raises(ValueError, match=r'saliency of sample wrong.*expected probabilities in \[0, 1\]'):
            read_prediction(tmp_path, 'saliency', TASKS['saliency'], 'wrong')


def test_255_means_one_thing_in_a_set_of_boundary_labels(tmp_path):
    both = save(tmp_path / 'both.png', np.array([[0, 1, 255]], np.uint8))
    only = save(tmp_path / 'only.png', np.array([[0, 0, 255]], np.uint8))
    assert white_is_unknown([only, both])
    assert not white_is_unknown([only])
    truth = read_truth(only, white_is_unknown([only, both]))
    assert not truth.maps[0].any()
    assert truth.valid.tolist() == [[True, True, False]]
    assert read_truth(only, white_is_unknown([only])).maps[0].tolist() == [[False, False, True]]
    with pytest.raises(ValueError, match=r'0, 1 and 255 only; found 0\.9'):
        read_truth(save(tmp_path / 'soft.npy', np.array([[0, 0.9, 1]])))


# ---- lists, folders, Matlab -----------------------------------------------------------------------------------------


def test_lists(tmp_path, monkeypatch):
    path = tmp_path / 'train.txt'
    for data in (b'\xef\xbb\xbfa\r\nb\r\n', b'a\nb', b'\n a \n\nb\n'):
        path.write_bytes(data)
        assert read_list(path) == ['a', 'b']
    for data, words in (
        ('a\nb\n'.encode('utf-16'), 'not written in UTF-8'),
        ('a\nb\n'.encode('utf-16-le'), 'zero bytes'),
        (b'\n \n', 'names no sample'),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=rf'train\.txt .*{words}'):
            read_list(path)
    lines = []
    monkeypatch.setattr('mtl.files.print_log', lambda text, *_: lines.append(text))
    path.write_text('a\nb\na\n')
    assert read_list(path) == ['a', 'b']
    assert "names 1 ids again, first 'a'" in lines[0]


def test_what_macos_leaves_is_no_data(tmp_path):
    for kind in ('images', 'labels', 'images/.hidden'):
        save(tmp_path / kind / 'a.png', GREY)
        (tmp_path / kind / '._a.png').write_bytes(b'\x00\x05\x16\x07')
    files = dict(image='images/{id}.png', saliency='labels/{id}.png')
    assert FolderDataset(tmp_path, files, dict(saliency=dict(type='Saliency')), split='*').ids == ['a']
    assert [picture.name for picture in Pictures(tmp_path / 'images')] == ['a']
    assert list(find_pairs(tmp_path / 'images', tmp_path / 'labels')) == ['a']
    assert [path.name for path in visible(sorted((tmp_path / 'images').rglob('*.png')), tmp_path)] == ['a.png']


def test_mat_files_that_cannot_be_read(tmp_path):
    path = tmp_path / 'a.mat'
    path.write_bytes(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124) + b'\x00\x02IM' + bytes(400))
    with pytest.raises(ValueError, match=r"a\.mat is of Matlab's format 7\.3.*-v7"):
        load_mat(path)
    with pytest.raises(ValueError, match='format 7'):
        read_truth(path)
    path.write_bytes(b'no matrix at all' * 20)
    with pytest.raises(ValueError, match=r'a\.mat cannot be read as a \.mat file'):
        load_mat(path)


def test_opencv_reads_the_ordinary_ones_alike(tmp_path):
    path = save(tmp_path / 'a.png', RGB)
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], read_picture(path))


def test_a_depth_that_was_not_predicted_stays_so(tmp_path):
    """In a label inf and NaN are unknown; in a prediction they are a fault, which its metrics show."""
    metres = np.array([[1.0, np.nan], [np.inf, 2.0]], np.float32)
    save(tmp_path / 'depth/a.npy', metres[None])
    np.testing.assert_array_equal(read_prediction(tmp_path, 'depth', TASKS['depth'], 'a').numpy(), metres)
