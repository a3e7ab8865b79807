"""Every kind of input, in real files."""

import cv2
import numpy as np
import pytest
from PIL import Image

from mtl.apis.inputs import InputError, Pictures


def names(pictures):
    return [picture.name for picture in pictures]


def test_a_folder_in_natural_order_with_a_broken_image(folder, picture):
    pictures = Pictures(folder)
    assert len(pictures) == 4
    assert not pictures.single
    found = list(pictures)
    assert names(found) == ['1', '2', '3', '10']
    assert np.array_equal(found[1].image, picture(1))
    assert found[2].image is None
    assert str(folder / '3.jpg') in found[2].fault
    assert all(not one.fault for one in found if one.name != '3')


def test_one_file(folder, picture):
    pictures = Pictures(str(folder / '1.png'))
    assert pictures.single
    (found,) = pictures
    assert (found.name, found.source) == ('1', str(folder / '1.png'))
    assert np.array_equal(found.image, picture(0))
    assert not Pictures([folder / '1.png']).single


def test_patterns(folder, tmp_path, monkeypatch):
    assert names(Pictures(f'{folder}/*.png')) == ['1', '2']
    assert names(Pictures(f'{tmp_path}/**/*.png')) == ['1', '2']
    assert names(Pictures(f'{folder}/*')) == ['1', '2', '3', '10']  # not the text file
    assert not Pictures(f'{folder}/1*.png').single
    (folder / 'a[1].png').write_bytes((folder / '1.png').read_bytes())
    assert names(Pictures(folder / 'a[1].png')) == ['a[1]']  # a file that exists is no pattern


def test_lists_mix_everything_and_names_stay_unique(folder, video, picture):
    pictures = Pictures([folder, picture(5), video, folder / '1.png', folder / 'missing.png'], first_array=7)
    found = list(pictures)
    assert names(found) == [
        *('1', '2', '3', '10'),
        '00000007',
        *(f'street_{number:06d}' for number in range(5)),
        '1_1',
        'missing',
    ]
    assert len(pictures) == len(found)
    assert 'There is no file' in found[-1].fault
    assert pictures.arrays == 1


def test_a_video(video):
    found = list(Pictures(video))
    assert [picture.source for picture in found] == [f'{video} frame {number}' for number in range(5)]
    for number, one in enumerate(found):
        assert one.image.shape == (64, 96, 3)
        middle = one.image[32, 48].astype(int)
        assert np.abs(middle - (200 - 40 * number, 100, 40 * number)).max() < 12  # RGB; the codec loses a little
    assert found[0].video[1] == pytest.approx(10.0)


def test_a_file_that_is_no_video(tmp_path):
    (tmp_path / 'text.mp4').write_text('no video')
    (found,) = Pictures(tmp_path / 'text.mp4')
    assert 'cannot be read as a video' in found.fault


def test_a_video_that_breaks_off_is_reported(tmp_path, monkeypatch):
    path = tmp_path / 'long.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (96, 64))
    for seed in range(20):
        writer.write(np.random.default_rng(seed).integers(0, 256, (64, 96, 3), dtype=np.uint8))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    logged = []
    monkeypatch.setattr('mtl.apis.inputs.print_log', lambda text, *_: logged.append(text))
    found = list(Pictures(path))
    assert 0 < len(found) < 20
    assert f'{path} breaks off: {len(found)} of 20' in logged[0]


def test_arrays(picture):
    image = picture(0)
    (bgr,) = Pictures(image)
    (rgb,) = Pictures(image, channel_order='rgb')
    assert np.array_equal(bgr.image, image[..., ::-1])
    assert np.array_equal(rgb.image, image)
    (alpha,) = Pictures(np.dstack([image, np.zeros((70, 90), np.uint8)]), channel_order='rgb')
    assert np.array_equal(alpha.image, image)
    for grey in (image[..., 0], image[..., :1]):
        (found,) = Pictures(grey)
        assert np.array_equal(found.image, image[..., :1].repeat(3, axis=2))


@pytest.mark.parametrize('array', [np.zeros((4, 4, 3)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays(array):
    (found,) = Pictures(array)
    assert 'uint8' in found.fault
    assert str(list(array.shape)) in found.fault


def test_photographs_are_turned_upright(tmp_path, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.fromarray(picture(0, (40, 64))).save(tmp_path / 'turned.png', exif=exif)
    (found,) = Pictures(tmp_path / 'turned.png')
    assert np.array_equal(found.image, np.rot90(picture(0, (40, 64)), -1))


def test_grey_and_palette_files_become_colour(tmp_path, picture):
    cv2.imwrite(str(tmp_path / 'grey.png'), picture(0)[..., 0])
    Image.fromarray(picture(0)).quantize(16).save(tmp_path / 'palette.gif')
    for name in ('grey.png', 'palette.gif'):
        (found,) = Pictures(tmp_path / name)
        assert found.image.shape == (70, 90, 3)


def test_what_is_not_there(tmp_path):
    (tmp_path / 'empty').mkdir()
    for inputs, words in (
        (tmp_path / 'nowhere.png', 'no file and no folder'),
        (tmp_path / 'empty', 'holds no image'),
        (f'{tmp_path}/*.png', 'No image and no video matches'),
        ([], 'list is empty'),
        (3, 'found a int'),
        ([None], 'found a NoneType'),
    ):
        with pytest.raises(InputError, match=words):
            Pictures(inputs)
    with pytest.raises(InputError, match="'bgr' or 'rgb'"):
        Pictures(np.zeros((4, 4, 3), np.uint8), channel_order='hsv')
