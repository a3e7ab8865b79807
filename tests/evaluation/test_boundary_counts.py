import numpy as np
import pytest
from sklearn.metrics import f1_score

from mtl.evaluation.boundary.counts import average_precision, best_counts, count_image, recall_precision_f, scores
from mtl.evaluation.boundary.files import find_pairs
from mtl.evaluation.boundary.pool import Protocol
from mtl.evaluation.boundary.recipes import RECIPES, even_thresholds, find_recipe

RAW, BSDS = RECIPES['seism-raw'], RECIPES['bsds']


def line(column: int, size: int = 20) -> np.ndarray:
    picture = np.zeros((size, size))
    picture[:, column] = 1
    return picture


def test_counts_by_hand():
    prediction = 0.4 * line(5) + 0.8 * line(12)
    counts = count_image(prediction, [line(5) > 0, line(17) > 0], RAW, 0.04, (0.3, 0.6, 0.9))
    # at 0.3 both lines, at 0.6 the right one, which neither annotator drew; the tolerance is 1.13 pixels
    assert counts.tolist() == [[20, 40, 20, 40], [0, 40, 0, 20], [0, 40, 0, 0]]


def test_a_pixel_found_by_two_annotators_counts_once_in_precision():
    counts = count_image(line(5), [line(5) > 0] * 2, RAW, 0.01, (0.5,))
    assert counts.tolist() == [[40, 40, 20, 20]]


def test_zero_tolerance_is_the_ordinary_f():
    random = np.random.default_rng(0)
    # isolated pixels: nothing to thin
    truth, prediction = np.zeros((2, 30, 30))
    truth[::3, ::3], prediction[::3, ::3] = random.random((2, 10, 10)) < 0.5
    f = recall_precision_f(count_image(prediction, [truth > 0], RAW, 0.0, (0.5,)))[2]
    assert f == pytest.approx(f1_score(truth.ravel(), prediction.ravel()))


def test_unknown_pixels_count_nowhere():
    valid = np.ones((20, 20), bool)
    valid[:, 10:] = False
    counts = count_image(line(5) + line(15), [line(5) + line(15) > 0], RAW, 0.01, (0.5,), valid=valid)
    assert counts.tolist() == [[20, 20, 20, 20]]


def test_thick_predictions_and_truths_are_thinned():
    thick = (line(8) + line(9) + line(10)) > 0
    counts = count_image(thick.astype(float), [thick], RAW, 0.01, (0.5,))
    assert counts[0, 0] == counts[0, 1] == counts[0, 2] == counts[0, 3]
    assert counts[0, 1] <= 20
    drawn = count_image(thick.astype(float), [thick], BSDS, 0.01, (0.5,))
    assert drawn[0, 1] == 60  # a human drawing is taken as it is


def test_strict_and_inclusive_thresholds():
    prediction = np.full((20, 20), 51, np.uint8) * (line(5) > 0)  # 51 / 255 = 0.2
    assert count_image(prediction, [line(5) > 0], RAW, 0.01, (0.2,))[0, 3] == 20
    strict = find_recipe('seism-nms')
    assert not strict.binarise(strict.strengths(np.zeros((5, 5))), 0.0).any()


def test_equal_maps_at_neighbouring_thresholds_are_counted_once_and_right():
    prediction = 0.5 * line(5) + 0.9 * line(12)
    thresholds = even_thresholds(9)
    counts = count_image(prediction, [line(5) > 0], RAW, 0.01, thresholds)
    single = [count_image(prediction, [line(5) > 0], RAW, 0.01, (threshold,))[0] for threshold in thresholds]
    assert np.array_equal(counts, single)


def test_no_truth_and_no_prediction():
    empty = np.zeros((20, 20), bool)
    counts = count_image(line(5), [empty], RAW, 0.01, (0.5, 0.99)) + count_image(
        empty * 1.0, [empty], RAW, 0.01, (0.5, 0.99)
    )
    assert counts.tolist() == [[0, 0, 0, 20], [0, 0, 0, 20]]
    assert scores(counts, best_counts(counts)) == {'odsF': 0.0, 'oisF': 0.0, 'AP': 0.0}


def test_ods_takes_one_threshold_and_ois_the_best_of_each_image():
    first, second = np.array([[10, 10, 10, 10], [5, 10, 5, 5]]), np.array([[10, 10, 10, 30], [10, 10, 10, 10]])
    result = scores(first + second, best_counts(first) + best_counts(second))
    assert result['oisF'] == pytest.approx(100.0)
    assert result['odsF'] == pytest.approx(100 * 2 * 0.75 / 1.75)  # R 15/20, P 15/15 beats R 1, P 20/40


def test_area_under_the_curve():
    assert average_precision(np.array([1.0, 0.0]), np.array([0.5, 1.0])) == pytest.approx(0.75 * 1.01)
    assert average_precision(np.array([0.5]), np.array([0.5])) == 0.0


def test_unknown_recipe():
    with pytest.raises(ValueError, match='Known recipes: seism-nms, seism-raw, bsds'):
        find_recipe('matlab')


def test_thresholds_round_as_the_benchmark_does():
    """85 / 255 is below the second of five thresholds, as in Matlab's linspace; 2 / 6 would let it pass."""
    assert even_thresholds(5)[1] > 85 / 255


@pytest.mark.slow
def test_the_published_results_of_five_images(shared_folder):
    folder = shared_folder / 'data' / 'bsds_bench'
    if not folder.is_dir():
        pytest.skip('no BSDS check data')
    protocol = Protocol(BSDS, 0.0075, even_thresholds(5))
    counts = [protocol.count_files(*pair) for pair in find_pairs(folder / 'png', folder / 'groundTruth').values()]
    recall, precision, f = recall_precision_f(sum(counts))
    expected = np.loadtxt(folder / 'expected_png' / 'eval_bdry_thr.txt')
    assert np.abs(np.stack([recall, precision, f], 1) - expected[:, 1:]).max() < 5e-4
    _, _, _, ods, _, _, ois, area = np.loadtxt(folder / 'expected_png' / 'eval_bdry.txt')
    result = scores(sum(counts), sum(map(best_counts, counts)))
    assert [result['odsF'], result['oisF'], result['AP']] == pytest.approx([100 * ods, 100 * ois, 100 * area], abs=0.05)


def test_the_best_between_thresholds():
    """As the benchmark: recall and precision are linear from threshold to threshold, in 100 steps."""
    counts = np.array([[90, 100, 90, 300], [60, 100, 60, 80], [10, 100, 10, 10]])
    recall, precision, f = recall_precision_f(counts)
    best = 0.0
    for i in range(2):
        for step in range(100):
            share = step / 99
            r = recall[i] * (1 - share) + recall[i + 1] * share
            p = precision[i] * (1 - share) + precision[i + 1] * share
            best = max(best, 2 * p * r / (p + r))
    assert scores(counts, counts[0])['odsF'] == pytest.approx(100 * best, abs=1e-9)
    assert best > f.max()
    alone = np.array([[90, 100, 90, 300]])
    assert scores(alone, alone[0])['odsF'] == pytest.approx(100 * recall_precision_f(alone)[2][0])


@pytest.mark.parametrize('recipe', RECIPES.values(), ids=lambda recipe: recipe.name)
def test_maps_that_are_not_of_8_bits_are_not_rounded(recipe):
    """A strength of 0.1305 is above a threshold of 0.1303; on the grid of 8 bits both would be 33 / 255."""
    line = np.zeros((20, 20))
    line[:, 10] = 0.1305
    at = 0.1303 if not recipe.nms else float(recipe.strengths(line).max()) - 1e-4
    truth = np.zeros((20, 20), bool)
    truth[:, 10] = True
    found = count_image(line, [truth], recipe, 0.01, [at])
    missed = count_image(line, [truth], recipe, 0.01, [at + 4e-4])
    assert found[0, 3] > 0
    assert missed[0, 3] == 0
