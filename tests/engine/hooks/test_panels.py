"""Which samples are drawn, and where they go."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmengine.logging import MessageHub

from mtl.engine import PanelHook
from mtl.structures import MultiTaskDataSample


@pytest.fixture
def runner(tmp_path):
    image = tmp_path / 'image.png'
    cv2.imwrite(str(image), np.full((4, 6, 3), (255, 0, 0), np.uint8))  # blue, as OpenCV orders channels
    drawn = []
    return SimpleNamespace(
        model=SimpleNamespace(tasks={}),
        work_dir=str(tmp_path / 'run'),
        image=str(image),
        drawn=drawn,
        visualizer=SimpleNamespace(add_datasample=lambda *args, **kwargs: drawn.append((args, kwargs))),
        val_dataloader=range(9),
        test_dataloader=range(9),
        log_processor=SimpleNamespace(by_epoch=True),
        message_hub=MessageHub.get_instance(str(tmp_path)),
    )


def evaluate(hook, runner, method='after_val_iter'):
    for batch in range(9):
        outputs = [
            MultiTaskDataSample(metainfo=dict(sample_id=f'{batch}{letter}', img_path=runner.image)) for letter in 'ab'
        ]
        getattr(hook, method)(runner, batch_idx=batch, outputs=outputs)


def test_a_few_fixed_samples_of_every_evaluation(runner):
    runner.message_hub.update_info('epoch', 3)
    hook = PanelHook(count=3)
    evaluate(hook, runner)
    first = [args[0] for args, _ in runner.drawn]
    assert first == ['panel/0a', 'panel/4a', 'panel/8a']
    evaluate(hook, runner)
    assert [args[0] for args, _ in runner.drawn[3:]] == first
    (_, image, _, _), options = runner.drawn[0]
    assert image[0, 0].tolist() == [0, 0, 255]  # RGB
    assert options['step'] == 4
    assert str(options['out_file']).endswith('run/panels/epoch_4/0a.png')


def test_every_sample_of_a_test_in_the_folder_asked_for(runner, tmp_path):
    evaluate(PanelHook(count=None, out_dir=str(tmp_path / 'shown')), runner, 'after_test_iter')
    assert len(runner.drawn) == 18
    assert runner.drawn[1][1]['out_file'] == tmp_path / 'shown' / '0b.png'
