"""`image_demo.py`: the panel of a photograph, from a checkpoint alone."""

import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mtl import shipped
from mtl.apis import MultiTaskInferencer
from mtl.checkpoints.restoring import build_for_checkpoint


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
    assert '1 image drawn, with semseg, normals, in demo/vis.' in output
    expected = MultiTaskInferencer(checkpoint)(photographs / 'a.jpg', return_vis=True, opacity=0.3)['visualization']
    assert np.array_equal(cv2.imread('demo/vis/a.png')[..., ::-1], expected)
    assert not (tmp_path / 'demo/pred').exists()


def test_a_folder_with_a_broken_image(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, _ = trained_run()
    options = ('--out-dir', 'out', '--tasks', 'normals', '--save-pred', '--batch-size', '2')
    status, output, error = run_tool('image_demo', photographs, checkpoint, *options)
    assert status == 0, error
    assert re.fullmatch(
        r'2 images drawn, with normals, in out/vis\. \d+ ms per image, all in all, on cpu\.', output.splitlines()[-1]
    )
    assert f'1 could not be read and were skipped: {photographs / "c.png"}' in output
    assert sorted(path.name for path in (tmp_path / 'out/vis').iterdir()) == ['a.png', 'b.png']
    assert np.load(tmp_path / 'out/pred/normals/b.npy').shape == (3, 70, 90)
    assert not (tmp_path / 'out/pred/semseg').exists()


def test_a_picture_of_each_task(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, model = trained_run()
    status, output, error = run_tool('image_demo', photographs / 'a.jpg', checkpoint, '--maps', '--opacity', '1')
    assert status == 0, error
    last = output.splitlines()[-1]
    assert re.fullmatch(
        r'1 image drawn, with semseg, normals, in demo/vis\. \d+ ms per image, all in all, on cpu\.', last
    )
    found = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / 'demo/maps').rglob('*.png'))
    assert found == ['demo/maps/normals/a.png', 'demo/maps/semseg/a.png']
    classes = MultiTaskInferencer(checkpoint)(photographs / 'a.jpg')['predictions']['semseg']
    palette = np.asarray(model.tasks['semseg'].classes.palette)
    assert np.array_equal(cv2.imread('demo/maps/semseg/a.png')[..., ::-1], palette[classes])


def test_without_a_checkpoint(run_tool, trained_run, photographs, tmp_path, monkeypatch):
    """The network that comes with the package draws; where it is missing, a sentence says so."""
    _, checkpoint, _ = trained_run()
    monkeypatch.setattr(shipped, 'ROOT', tmp_path / 'nowhere')
    status, _, error = run_tool('image_demo', photographs / 'a.jpg')
    assert status == 2
    assert 'Name a checkpoint: the one that comes with the package, checkpoints/demo.safetensors, is neither' in error
    (tmp_path / 'checkpoints').mkdir()
    run_tool('misc/publish_checkpoint', checkpoint, tmp_path / 'checkpoints/demo.safetensors', '--half')
    status, output, error = run_tool('image_demo', photographs / 'a.jpg')
    assert status == 0, error
    assert '1 image drawn, with semseg, normals' in output
    status, _, error = run_tool('image_demo', checkpoint)
    assert status == 2
    assert 'name at least one image' in error


def test_several_files_and_another_palette(run_tool, trained_run, photographs, tmp_path):
    _, checkpoint, _ = trained_run()
    files = (photographs / 'a.jpg', photographs / 'b.png')
    assert run_tool('image_demo', *files, checkpoint)[0] == 0
    first = cv2.imread('demo/vis/b.png')
    assert run_tool('image_demo', *files, checkpoint, '--palette', 'colour_blind_safe')[0] == 0
    assert not np.array_equal(cv2.imread('demo/vis/b.png'), first)


def test_merged_and_materialised_checkpoints(run_tool, trained_run, photographs):
    """They carry a config of their own, which is not that of the run."""
    path, checkpoint, _ = trained_run("base_input='task'")
    image = photographs / 'a.jpg'
    expected = MultiTaskInferencer(checkpoint)(image)['predictions']['normals']
    assert run_tool('deploy/merge_adapters', path, checkpoint, 'merged.pth')[0] == 0
    np.testing.assert_allclose(MultiTaskInferencer('merged.pth')(image)['predictions']['normals'], expected, atol=1e-3)

    config = Config.fromfile(path)
    config.model.update(slimming=dict(encoder=0.25, decoder=(0.5, 1.0), multiple=2))
    config.dump(path)
    torch.manual_seed(0)
    model = build_for_checkpoint(config)
    torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), 'slimmable.pth')
    expected = MultiTaskInferencer('slimmable.pth')(image, width='small')['predictions']['normals']
    status, _, error = run_tool('deploy/materialize', path, 'slimmable.pth', 'small.pth', '--width', 'small')
    assert status == 0, error
    found = MultiTaskInferencer('small.pth')(image)['predictions']['normals']
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert run_tool('image_demo', image, 'small.pth')[0] == 0


def test_wrong_inputs_are_sentences(run_tool, trained_run, photographs):
    _, checkpoint, _ = trained_run()
    image = photographs / 'a.jpg'
    for arguments, words in (
        ((photographs / 'c.png', checkpoint), 'cannot be read as an image'),
        (('nowhere.jpg', checkpoint), 'no file and no folder nowhere.jpg'),
        ((image, 'nowhere.pth'), 'nowhere.pth'),
        ((image, 'base.pth'), 'holds no config'),
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
