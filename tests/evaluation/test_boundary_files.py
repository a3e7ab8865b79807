import cv2
import numpy as np
import pytest
from scipy.io import savemat

from mtl.evaluation.boundary.files import find_pairs, read_prediction, read_truth
from mtl.files import read_list

MAP = np.array([[0, 1, 0], [0, 1, 1]], np.uint8)


def test_predictions(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), MAP * 200)
    cv2.imwrite(str(tmp_path / 'b.png'), MAP.astype(np.uint16) * 65535)
    np.save(tmp_path / 'c.npy', MAP[None] * np.float32(0.3))
    assert np.array_equal(read_prediction(tmp_path / 'a.png'), MAP * 200)
    assert np.array_equal(read_prediction(tmp_path / 'b.png'), MAP * 1.0)
    assert np.allclose(read_prediction(tmp_path / 'c.npy'), MAP * 0.3)


def test_logits_are_no_probabilities(tmp_path):
    np.save(tmp_path / 'a.npy', MAP * -7.0)
    with pytest.raises(ValueError, match='Apply the sigmoid'):
        read_prediction(tmp_path / 'a.npy')


def test_binary_truths(tmp_path):
    cv2.imwrite(str(tmp_path / 'black_white.png'), MAP * 255)
    cv2.imwrite(str(tmp_path / 'label.png'), np.array([[0, 1, 255], [0, 1, 1]], np.uint8))
    truth = read_truth(tmp_path / 'black_white.png')
    assert np.array_equal(truth.maps[0], MAP == 1)
    assert truth.valid is None
    truth = read_truth(tmp_path / 'label.png')
    assert np.array_equal(truth.maps[0], MAP == 1)
    assert truth.valid.tolist() == [[True, True, False], [True, True, True]]


def test_bsds_mat(tmp_path):
    drawings = np.empty((1, 2), object)
    for index, drawing in enumerate((MAP, 1 - MAP)):
        drawings[0, index] = dict(Segmentation=MAP + 1, Boundaries=drawing)
    savemat(tmp_path / 'a.mat', dict(groundTruth=drawings))
    truth = read_truth(tmp_path / 'a.mat')
    assert np.array_equal(truth.maps, [MAP == 1, MAP == 0])


def test_pascal_label_map(tmp_path):
    labels = np.ones((12, 12), np.uint16)
    labels[:, 6:] = 400
    savemat(tmp_path / 'a.mat', dict(LabelMap=labels))
    (border,) = read_truth(tmp_path / 'a.mat').maps
    assert set(np.argwhere(border)[:, 1]) <= {5, 6}
    assert border[2:-2].sum(1).tolist() == [1] * 8  # thin


def test_a_mat_of_something_else(tmp_path):
    savemat(tmp_path / 'a.mat', dict(other=MAP))
    with pytest.raises(ValueError, match=r'expected the variable groundTruth \(BSDS\) or LabelMap .* it has other'):
        read_truth(tmp_path / 'a.mat')


def test_pairs_and_lists(tmp_path):
    for folder, ending, ids in (('predictions', 'png', 'ab'), ('truths', 'npy', 'abc')):
        (tmp_path / folder).mkdir()
        for name in ids:
            (tmp_path / folder / f'{name}.{ending}').touch()
    (tmp_path / 'list.txt').write_text('b\n\na\n')
    predictions, truths = tmp_path / 'predictions', tmp_path / 'truths'
    assert read_list(tmp_path / 'list.txt') == ['b', 'a']
    pairs = find_pairs(predictions, truths, ['b', 'a'])
    assert list(pairs.values()) == [(predictions / f'{i}.png', truths / f'{i}.npy') for i in 'ba']
    with pytest.raises(FileNotFoundError, match=r"lacks 1 of 3 images, first 'c' \(looked for c.png or c.npy\)"):
        find_pairs(predictions, truths)
