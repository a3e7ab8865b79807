"""`image_demo.py`: the panel of a photograph, from a checkpoint alone."""

import cv2
import numpy as np
import pytest

from mtl.apis import MultiTaskInferencer


@pytest.fixture
def photographs(tmp_path):
    """A folder with ``a.jpg``, ``b.png`` and a broken ``c.png``."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    for seed, name in enumerate(('a.jpg', 'b.png')):
        coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(coarse, (90, 70)))
    (folder / 'c.png').write_bytes((folder / 'b.png').read_bytes()[:100])
    return folder


def test_a_panel_of_one_image(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, _ = trained_run()
    status, output, error = run_tool('image_demo', photographs / 'a.jpg', checkpoint, '--opacity', '0.3')
    assert status == 0, error
    assert '1 drawn, with semseg, normals, in demo/vis.' in output
    expected = MultiTaskInferencer(checkpoint)(photographs / 'a.jpg', return_vis=True, opacity=0.3)['visualization']
    assert np.array_equal(cv2.imread('demo/vis/a.png')[..., ::-1], expected)
    assert not (tmp_path / 'demo/pred').exists()


def test_a_folder_with_a_broken_image(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, _ = trained_run()
    options = ('--out-dir', 'out', '--tasks', 'normals', '--save-pred', '--batch-size', '2')
    status, output, error = run_tool('image_demo', photographs, checkpoint, *options)
    assert status == 0, error
    assert '2 drawn, with normals' in output
    assert f'1 could not be read and were skipped: {photographs / "c.png"}' in output
    assert sorted(path.name for path in (tmp_path / 'out/vis').iterdir()) == ['a.png', 'b.png']
    assert np.load(tmp_path / 'out/pred/normals/b.npy').shape == (3, 70, 90)
    assert not (tmp_path / 'out/pred/semseg').exists()


def test_several_files_and_another_palette(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, _ = trained_run()
    files = (photographs / 'a.jpg', photographs / 'b.png')
    assert run_tool('image_demo', *files, checkpoint)[0] == 0
    first = cv2.imread('demo/vis/b.png')
    assert run_tool('image_demo', *files, checkpoint, '--palette', 'colour_blind_safe')[0] == 0
    assert not np.array_equal(cv2.imread('demo/vis/b.png'), first)


def test_wrong_inputs_are_sentences(run_tool, trained_run, photographs):
    _, checkpoint, _ = trained_run()
    image = photographs / 'a.jpg'
    for arguments, words in (
        ((photographs / 'c.png', checkpoint), 'cannot be read as an image'),
        (('nowhere.jpg', checkpoint), 'no file and no folder nowhere.jpg'),
        ((image, 'nowhere.pth'), 'nowhere.pth'),
        ((image, 'base.pth'), 'holds no config'),
        ((image, image), 'a.jpg'),
        ((image, checkpoint, '--tasks', 'depth'), 'semseg, normals'),
        ((image, checkpoint, '--width', 'small'), 'one width only'),
        ((image, checkpoint, '--config', 'nowhere.py'), 'no config nowhere.py'),
        ((image, checkpoint, '--opacity', '7'), 'between 0 and 1'),
        ((image, checkpoint, '--batch-size', '0'), 'at least 1'),
    ):
        status, _, error = run_tool('image_demo', *arguments)
        assert status == 2, arguments
        assert words in error
        assert 'Traceback' not in error
