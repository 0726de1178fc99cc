import numpy as np
import pytest

from skscale.estimators.targets import standardize
from skscale.estimators.validation_set import split_rows


def _split(rows, strata=None, fraction=0.2, seed=0):
    return split_rows(rows, strata, fraction, np.random.RandomState(seed))


@pytest.mark.parametrize("n", [2, 3, 10, 101, 1000])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_rows_are_split_into_two_parts_of_the_asked_sizes(n, fraction):
    rows = np.arange(n) * 3
    train, valid = _split(rows, fraction=fraction)
    assert len(valid) == min(max(1, round(fraction * n)), n - 1)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), rows)


@pytest.mark.parametrize("seed", range(5))
def test_classes_keep_their_shares_to_within_a_row(seed):
    strata = np.repeat([0, 1, 2, 3], [500, 300, 150, 50])
    np.random.RandomState(9).shuffle(strata)
    _, valid = _split(np.arange(1000), strata, 0.13, seed)
    np.testing.assert_allclose(
        np.bincount(strata[valid]), 0.13 * np.array([500, 300, 150, 50]), atol=1
    )


def test_a_class_of_one_row_stays_in_the_training_rows():
    strata = np.r_[np.zeros(50, int), np.ones(49, int), 2]
    for seed in range(20):
        train, valid = _split(np.arange(100), strata, 0.5, seed)
        assert 99 in train
        assert len(valid) == 50


def test_every_row_can_be_held_out():
    held_out = np.zeros(20)
    strata = np.repeat([0, 1], [15, 5])
    for seed in range(300):
        held_out[_split(np.arange(20), strata, 0.2, seed)[1]] += 1
    # 4 of 20 rows each time: 60 times each on average.
    assert held_out.min() > 25
    assert held_out.max() < 110


def test_one_row_cannot_be_split():
    with pytest.raises(ValueError, match=r"early_stopping=True needs at least 2 rows"):
        _split(np.arange(1))


def test_standardising_uses_the_weighted_moments_of_the_training_rows():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((50, 2)) * [3, 1e5] + [7, -1e7]
    weights = rng.integers(1, 4, 50).astype(float)
    rows = np.arange(0, 50, 2)
    values, mean, scale = standardize(y, rows, weights, np.float64)
    repeated = y[rows].repeat(weights[rows].astype(int), axis=0)
    np.testing.assert_allclose(mean, repeated.mean(axis=0))
    np.testing.assert_allclose(scale, repeated.std(axis=0))
    np.testing.assert_allclose(values * scale + mean, y)


@pytest.mark.parametrize("constant", [0.0, 1e-300, 3.3, 1e10, -1e200])
def test_a_constant_target_has_scale_zero(constant):
    values, mean, scale = standardize(np.full(30, constant), np.arange(30), None, np.float32)
    assert scale == 0
    np.testing.assert_allclose(mean, constant)
    np.testing.assert_allclose(values, 0, atol=abs(constant) * 1e-15 + 1e-300)


def test_extreme_targets_do_not_overflow():
    y = np.array([1e300, -1e300, 5e299])
    values, _, scale = standardize(y, np.arange(3), None, np.float32)
    assert np.isfinite(values).all()
    assert np.isfinite(scale).all()
