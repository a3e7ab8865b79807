import numpy as np
import pytest

from mtl.evaluation.boundary.nms import non_maximum_suppression, normal_angle, suppress, triangle_blur


def ridge(angle: float, size: int = 41) -> np.ndarray:
    """A soft straight ridge through the centre; ``angle`` is that of its normal."""
    y, x = np.mgrid[:size, :size] - size // 2
    return np.exp(-((x * np.cos(angle) + y * np.sin(angle)) ** 2) / 8)


@pytest.mark.parametrize('degrees', [0, 30, 45, 60, 85, 120, 150])
def test_the_angle_is_what_the_published_formula_gives_on_a_ridge(degrees):
    tangent = np.tan(np.radians(degrees))
    expected = np.degrees(np.arctan(np.sign(tangent) * tangent**2))
    found = np.degrees(normal_angle(ridge(np.radians(degrees)))[20, 20])
    assert abs((found - expected + 90) % 180 - 90) < 3


@pytest.mark.parametrize('degrees', [0, 30, 45, 85, 120])
def test_only_the_crest_survives(degrees):
    strength = ridge(np.radians(degrees))
    kept = non_maximum_suppression(strength) > 0.2
    assert strength[kept].min() > 0.93  # within three quarters of a pixel of the crest
    assert np.count_nonzero(kept) >= 20


def test_triangle_blur_by_hand():
    impulse = np.zeros((5, 5))
    impulse[2, 2] = 1
    assert np.allclose(triangle_blur(impulse, 1)[2], np.array([0, 1, 2, 1, 0]) / 8)
    assert triangle_blur(np.ones((4, 6)), 4) == pytest.approx(1.0)


def test_suppression_by_hand():
    strength = np.zeros((13, 13))
    strength[:, 5:8] = [0.5, 1.0, 0.995]  # within the factor of 1.01, the third column is as strong as the second
    kept = suppress(strength, np.zeros_like(strength))[6]
    assert kept.tolist() == [0] * 6 + [1.0, 0.995] + [0] * 5


def test_strengths_fade_out_at_the_border():
    kept = suppress(np.ones((20, 20)), np.zeros((20, 20)))
    assert kept[10, :7].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1])
    assert kept[1, 2] == pytest.approx(0.2 * 0.4)
