import cv2
import numpy as np
import pytest
import torch

from mtl.evaluation import MultiTaskEvaluator
from mtl.evaluation.prediction_files import read_prediction, write_predictions
from mtl.structures import MultiTaskDataSample

from .conftest import TASKS


def as_sample(values: dict) -> MultiTaskDataSample:
    values = dict(values)
    return MultiTaskDataSample(metainfo=dict(sample_id=values.pop('sample_id')), **values)


def test_files_give_the_numbers_of_the_run_that_wrote_them(tasks, samples, tmp_path):
    online, offline = (MultiTaskEvaluator(TASKS, table=False) for _ in range(2))
    for values in samples:
        sample = as_sample(values)
        online.process([sample])
        write_predictions(sample, tmp_path, tasks)
        read = {f'pred_{name}': read_prediction(tmp_path, name, task, sample.sample_id) for name, task in tasks.items()}
        offline.process([as_sample({**values, **read})])
    assert offline.evaluate(len(samples)) == online.evaluate(len(samples))


def test_tasks_that_did_not_run_leave_no_file(tasks, samples, tmp_path):
    sample = as_sample({key: value for key, value in samples[0].items() if key != 'pred_depth'})
    write_predictions(sample, tmp_path, tasks)
    assert not (tmp_path / 'depth').exists()
    assert read_prediction(tmp_path, 'depth', tasks['depth'], 'image0') is None


def test_formats_of_other_codebases(tasks, tmp_path):
    for name in ('saliency', 'normals', 'depth'):
        (tmp_path / name).mkdir()
    cv2.imwrite(str(tmp_path / 'saliency' / 'a.png'), np.array([[0, 51, 255]], np.uint8))
    cv2.imwrite(str(tmp_path / 'saliency' / 'b.png'), np.array([[0, 65535]], np.uint16))
    rgb = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    cv2.imwrite(str(tmp_path / 'normals' / 'a.png'), rgb[..., ::-1])
    np.save(tmp_path / 'normals' / 'b.npy', rgb / 255.0)
    cv2.imwrite(str(tmp_path / 'depth' / 'a.png'), rgb[..., 0])
    cv2.imwrite(str(tmp_path / 'saliency' / 'c.png'), rgb)
    assert read_prediction(tmp_path, 'saliency', tasks['saliency'], 'a').tolist() == [[0, pytest.approx(0.2), 1]]
    assert read_prediction(tmp_path, 'saliency', tasks['saliency'], 'b').tolist() == [[0, 1]]
    normals = read_prediction(tmp_path, 'normals', tasks['normals'], 'a')
    assert torch.allclose(normals[:, 0, 0], torch.tensor([1.0, -1, -1]))
    assert read_prediction(tmp_path, 'normals', tasks['normals'], 'b').shape == (3, 1, 2)
    with pytest.raises(ValueError, match='the scale of a PNG is not known'):
        read_prediction(tmp_path, 'depth', tasks['depth'], 'a')
    with pytest.raises(ValueError, match=r'saliency of sample c.*expected one map'):
        read_prediction(tmp_path, 'saliency', tasks['saliency'], 'c')
