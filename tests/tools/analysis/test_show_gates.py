"""Gates of a photograph."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mtl.checkpoints.restoring import build_for_checkpoint


@pytest.fixture
def experts(trained_run):
    """``experts(memory)``: config and checkpoint of a network with experts, and a picture."""

    def make(memory=True):
        path, checkpoint, _ = trained_run()
        config = Config.fromfile(path)
        config.model.decoder = dict(type='TaskExpertDecoder', channels=8, experts=2, memory=memory)
        config.dump(path)
        torch.manual_seed(0)
        model = build_for_checkpoint(config)
        torch.save(dict(state_dict=model.state_dict(), meta=dict(cfg=config.pretty_text)), checkpoint)
        image = path.with_name('photograph.png')
        cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8))
        return path, checkpoint, image

    return make


def test_the_picture(run_tool, experts, tmp_path):
    config, checkpoint, image = experts()
    status, output, error = run_tool('analysis/show_gates', config, checkpoint, image, tmp_path / 'out/gates.png')
    assert status == 0, error
    assert 'gates.png' in output
    both = cv2.imread(str(tmp_path / 'out/gates.png'))
    arguments = (config, checkpoint, image, tmp_path / 'one.png', '--tasks', 'normals', '--height', '40')
    assert run_tool('analysis/show_gates', *arguments)[0] == 0
    assert cv2.imread(str(tmp_path / 'one.png')).shape[0] < both.shape[0]


def test_without_memory(run_tool, experts, tmp_path):
    config, checkpoint, image = experts(memory=False)
    assert run_tool('analysis/show_gates', config, checkpoint, image, tmp_path / 'gates.png')[0] == 0


def test_wrong_inputs_are_sentences(run_tool, trained_run, experts, tmp_path):
    config, checkpoint, image = experts()
    for arguments, words in (
        ((config, checkpoint, 'nowhere.png', 'a.png'), 'nowhere.png'),
        ((config, checkpoint, tmp_path, 'a.png'), 'is not one image'),
        ((config, checkpoint, image, 'a.png', '--tasks', 'depth'), 'normals, semseg'),
        ((config, checkpoint, image, 'a.xyz'), 'must end in .png'),
    ):
        status, _, error = run_tool('analysis/show_gates', *arguments)
        assert status == 2, arguments
        assert words in error
    config, checkpoint, _ = trained_run()
    status, _, error = run_tool('analysis/show_gates', config, checkpoint, image, 'a.png')
    assert status == 2
    assert 'no gates' in error
