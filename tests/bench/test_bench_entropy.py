"""Estimates of spread against distributions whose answer is known."""

import math

import numpy as np
import pytest

from lpds_ros.bench.entropy import digamma, effective_number, energy_distance, knn_entropy, log_ball_volume


def gaussian_entropy(covariance) -> float:
    d = len(covariance)
    return 0.5 * (d * math.log(2 * math.pi * math.e) + math.log(np.linalg.det(covariance)))


@pytest.mark.parametrize("dimensions", [1, 2, 4, 8])
def test_entropy_of_gaussians(dimensions):
    rng = np.random.default_rng(dimensions)
    factor = np.eye(dimensions) + 0.3 * rng.normal(size=(dimensions, dimensions)) / math.sqrt(dimensions)
    samples = rng.standard_normal((1500, dimensions)) @ factor.T
    expected = gaussian_entropy(factor @ factor.T)
    assert knn_entropy(samples, k=5) == pytest.approx(expected, abs=0.05 + 0.04 * dimensions)


def test_entropy_moves_with_scale_and_not_with_place():
    samples = np.random.default_rng(0).standard_normal((300, 3))
    base = knn_entropy(samples)
    assert knn_entropy(2.0 * samples) == pytest.approx(base + 3 * math.log(2.0), abs=1e-9)
    assert knn_entropy(samples + 7.0) == pytest.approx(base, abs=1e-6)


def test_entropy_of_a_point_is_finite_and_very_low():
    assert -100 < knn_entropy(np.zeros((50, 2))) < -20
    with pytest.raises(ValueError, match="5 samples"):
        knn_entropy(np.zeros((5, 2)), k=5)


def test_special_functions():
    assert digamma(1) == pytest.approx(-0.5772156649)
    assert digamma(5) == pytest.approx(1.5061176684)
    assert [math.exp(log_ball_volume(d)) for d in (1, 2, 3)] == pytest.approx([2.0, math.pi, 4 * math.pi / 3])


def test_energy_distance_is_zero_for_equals_and_grows_with_the_gap():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 400, 3))
    assert abs(energy_distance(a, b)) < 0.05
    assert 0.2 < energy_distance(a, b + 1.0) < energy_distance(a, b + 2.0)


def test_effective_number():
    assert effective_number([5, 5, 5, 5]) == pytest.approx(4.0)
    assert effective_number([7, 0, 0]) == pytest.approx(1.0)
    assert effective_number([0, 0]) == 0.0
