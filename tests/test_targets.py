import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix

from skscale import (
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
)
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


class _Linear(torch.nn.Linear):
    def __init__(self, n_features, n_outputs):
        super().__init__(n_features, n_outputs)


def _indicators(n=60):
    X = np.random.RandomState(0).randn(n, 3)
    return X, (X > 0).astype(int)


def _makers():
    settings = {"max_epochs": 2, "random_state": 0}
    return {
        "dense": lambda: ScaledMLPClassifier(**settings),
        "convolutional": lambda: ScaledCNNClassifier(image_shape=(1, 3), **settings),
        "own": lambda: ScaledNetworkClassifier(_Linear, **settings),
    }


OTHER_INDICATORS = {
    r"\[-1, 1\].*\(y == 1\)": lambda y: np.where(y > 0, 1, -1),
    r"\[1, 2\].*\(y == 2\)": lambda y: y + 1,
    r"\[-1.0, 1.0\]": lambda y: np.where(y > 0, 1.0, -1.0),
    r"\[0, 255\]": lambda y: (255 * y).astype(np.uint8),
    r"\[0, 2\]": lambda y: csr_matrix(2 * y),
    r"\[2\]. Expected .*Convert it to": lambda y: np.full_like(y, 2),
    r"\[0, 1, 2\]": lambda y: y.cumsum(axis=0) % 3,
    r"\['a', 'b'\]": lambda y: np.where(y > 0, "a", "b"),
}


@pytest.mark.parametrize("family", _makers())
@pytest.mark.parametrize("values", OTHER_INDICATORS)
def test_indicators_other_than_0_and_1_are_refused_with_their_values(values, family):
    X, y = _indicators()
    with pytest.raises(ValueError, match=values):
        _makers()[family]().fit(X, OTHER_INDICATORS[values](y))


@pytest.mark.parametrize("family", _makers())
def test_a_stream_and_a_validation_set_refuse_other_indicators_too(family):
    X, y = _indicators()
    other = np.where(y > 0, 1, -1)
    make = _makers()[family]
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        make().partial_fit(X, other, classes=range(3))
    network = make().partial_fit(X, y, classes=range(3))
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        network.partial_fit(X, other)
    with pytest.raises(ValueError, match=r"y_val has 3 columns with the values \[-1, 1\]"):
        make().fit(X, y, X_val=X, y_val=other)
    with pytest.raises(ValueError, match=r"y_val .* \[0, 1, 2\]"):
        make().fit(X, y, X_val=X, y_val=y.cumsum(axis=0) % 3)
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        network.set_params(warm_start=True).fit(X, other)


@pytest.mark.parametrize(
    "convert",
    [
        lambda y: y == 1,
        lambda y: y.astype(float),
        lambda y: y.astype(np.uint8),
        lambda y: y.tolist(),
        csr_matrix,
        csr_array,
        lambda y: y.astype(object),
        lambda y: (y == 1).astype(object),
        lambda y: pd.DataFrame(y == 1).astype({0: int}),
        lambda y: pd.DataFrame(y == 1).astype("boolean"),
    ],
)
def test_zeros_and_ones_of_any_type_are_indicators(convert):
    X, y = _indicators()
    make = _makers()["dense"]
    expected = make().fit(X, y)
    found = make().fit(X, convert(y))
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("constant", [0, 1])
def test_a_constant_column_of_indicators_is_predicted(constant):
    X, y = _indicators()
    y[:, 1] = constant
    network = _makers()["dense"]().fit(X, y)
    assert (network.predict(X)[:, 1] == constant).all()
    # A single column holds the labels of two classes, whatever these are.
    column = np.where(y[:, 0] > 0, 1, -1)
    assert _makers()["dense"]().fit(X, column).classes_.tolist() == [-1, 1]


def _standardize_robustly(y, weights=None):
    y = np.asarray(y, dtype=float)
    return standardize(y, np.arange(len(y)), weights, np.float64, is_robust=True)


def test_a_robust_scale_is_the_standard_deviation_of_normal_targets_and_ignores_outliers():
    rng = np.random.default_rng(0)
    y = rng.normal([5, -1e7], [3, 1e5], (20_000, 2))
    far = y.copy()
    far[::50] = 1e30
    for targets, tolerance in ((y, 0.02), (far, 0.06)):
        values, center, scale = _standardize_robustly(targets)
        np.testing.assert_allclose((center - [5, -1e7]) / [3, 1e5], 0, atol=0.06)
        np.testing.assert_allclose(scale, [3, 1e5], rtol=tolerance)
        is_near = targets[:, 0] < 1e30
        restored = (values * scale + center)[is_near]
        np.testing.assert_allclose(restored, targets[is_near], rtol=1e-9, atol=1e-6)
    lower, median, upper = np.quantile(y[:, 0], [0.25, 0.5, 0.75])
    _, center, scale = _standardize_robustly(y[:, 0])
    np.testing.assert_allclose(center, median, atol=1e-3)
    np.testing.assert_allclose(scale, (upper - lower) / 1.3489795, rtol=1e-3)


def test_robust_moments_count_a_weight_as_repeated_rows():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((60, 2))
    weights = rng.integers(1, 4, 60)
    _, center, scale = _standardize_robustly(y, weights.astype(float))
    _, expected_center, expected_scale = _standardize_robustly(y.repeat(weights, axis=0))
    np.testing.assert_allclose(center, expected_center, rtol=1e-14)
    np.testing.assert_allclose(scale, expected_scale, rtol=1e-14)


@pytest.mark.parametrize("n_equal", [600, 850, 950, 985, 995, 1000])
def test_mostly_equal_targets_have_the_scale_of_the_next_wider_range(n_equal):
    y = np.r_[np.full(n_equal, 4.0), 4 + np.linspace(1, 2, 1000 - n_equal)]
    values, center, scale = _standardize_robustly(y)
    assert center == 4
    if n_equal == 1000:
        assert scale == 0
        assert not values.any()
    elif n_equal < 990:
        assert 0.2 < scale < 2
    else:
        np.testing.assert_allclose(scale, y.std())


@pytest.mark.parametrize("loss", ["absolute_error", "huber", "quantile"])
def test_a_stream_has_the_robust_scale_of_all_its_rows(loss):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((9000, 2)), rng.normal(50, 2, 9000)
    y[::100] = 999_999
    # Of drifting pieces, each has far smaller ranges than the whole.
    y[np.argsort(y)] += np.linspace(0, 1, 9000)
    order = np.argsort(y + rng.normal(0, 1, 9000))
    network = ScaledMLPRegressor(loss=loss, random_state=0)
    for rows in np.array_split(order, 45):
        network.partial_fit(X[rows], y[rows])
    _, center, scale = _standardize_robustly(y)
    np.testing.assert_allclose(network.target_mean_, center, atol=0.2)
    np.testing.assert_allclose(network.target_scale_, scale, rtol=0.1)


def test_a_stream_after_a_fit_changes_its_robust_scale_by_the_share_of_its_rows():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4000, 2)), rng.normal(50, 2, 4000)
    network = ScaledMLPRegressor(loss="huber", max_epochs=1, random_state=0).fit(X, y)
    before = network.predict(X[:50])
    moved = y[:1000] + 4
    network.set_params(learning_rate=1e-12).partial_fit(X[:1000], moved)
    _, center, scale = _standardize_robustly(np.r_[y, moved])
    np.testing.assert_allclose(network.target_mean_, center, atol=0.2)
    np.testing.assert_allclose(network.target_scale_, scale, rtol=0.1)
    # The output layer follows the scale, so that predictions change by training only.
    np.testing.assert_allclose(network.predict(X[:50]), before, rtol=1e-5)


def test_a_stream_recovers_from_outliers_among_its_first_rows():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 2))
    y = X[:, 0] + rng.normal(0, 0.1, 3000)
    y[[0, 2]] = 999_999
    network = ScaledMLPRegressor(loss="absolute_error", random_state=0)
    for rows in [np.arange(4), *np.array_split(np.arange(4, 3000), 30)]:
        network.partial_fit(X[rows], y[rows])
    assert np.abs(network.predict(X[4:]) - y[4:]).mean() < 0.3
