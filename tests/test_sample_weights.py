"""Sample weights and class weights of any size."""

import numpy as np
import pytest

from skscale import ScaledCNNClassifier, ScaledMLPClassifier, ScaledMLPRegressor
from skscale.estimators.sample_weights import combine_weights, multiply_weights

EXTREME = [1e307, np.finfo(float).max, 1e-307, 5e-324]
rng = np.random.RandomState(0)
X = rng.randn(60, 4)
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)


def _make(**parameters):
    return ScaledMLPClassifier(width=8, max_epochs=3, random_state=0, **parameters)


def _assert_equal(network, other):
    for a, b in zip(network.coefs_, other.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("kind", [ScaledMLPClassifier, ScaledCNNClassifier])
def test_only_ratios_of_class_weights_matter_at_any_size(kind, size):
    own = {"image_shape": (2, 2)} if kind is ScaledCNNClassifier else {}
    own["max_epochs"] = 3
    plain = kind(class_weight=dict.fromkeys(range(3), 1), random_state=0, **own)
    large = kind(class_weight=dict.fromkeys(range(3), size), random_state=0, **own)
    _assert_equal(large.fit(X, y), plain.fit(X, y))
    given = {"X_val": X[:20], "y_val": y[:20]}
    _assert_equal(large.fit(X, y, **given), plain.fit(X, y, **given))
    sample_weight = rng.uniform(0.5, 2, 60)
    plain.fit(X, y, sample_weight)
    # Of both the product would overflow or underflow.
    unit = 1e307 if size > 1 else 1e-307
    _assert_equal(large.fit(X, y, sample_weight * unit), plain)


@pytest.mark.parametrize("size", EXTREME)
@pytest.mark.parametrize("kind", [ScaledMLPClassifier, ScaledMLPRegressor])
def test_only_ratios_of_sample_weights_matter_at_any_size(kind, size):
    ratios = np.where(y == 1, 1.0, 0.5 if size > 1e-300 else 1.0)
    make = lambda: kind(width=8, max_epochs=3, random_state=0)  # noqa: E731
    _assert_equal(make().fit(X, y, size * ratios), make().fit(X, y, ratios))
    classes = () if kind is ScaledMLPRegressor else (range(3),)
    streams = []
    for unit in (size, 1.0):
        stream = make().partial_fit(X, y, *classes, sample_weight=unit * ratios)
        streams.append(stream.partial_fit(X, y, sample_weight=unit * ratios))
    _assert_equal(*streams)


def test_mixtures_of_extreme_weights_train_or_raise_an_error_that_names_them():
    of_two = {0: 1e307, 1: 1e307, 2: 1e-307}
    without = _make(class_weight={0: 1, 1: 1, 2: 0}).fit(X, y)
    _assert_equal(_make(class_weight=of_two).fit(X, y), without)
    with pytest.raises(ValueError, match=r"1 class only .*class_weight=\{0: 1e\+307"):
        _make(class_weight={0: 1e307, 1: 1e-307, 2: 1}).fit(X, y)
    with pytest.raises(ValueError, match="class_weight must hold finite"):
        _make(class_weight={0: 10**400, 1: 1, 2: 1}).fit(X, y)


@pytest.mark.parametrize(("of_class", "weight"), [(1e307, 1e10), (1e-307, 1e-100)])
def test_a_stream_refuses_products_beyond_float64(of_class, weight):
    network = _make(class_weight=dict.fromkeys(range(3), of_class))
    with pytest.raises(ValueError, match=rf"{weight:g} times {of_class:g}".replace("+", r"\+")):
        network.partial_fit(X, y, range(3), np.full(60, weight))
    network.partial_fit(X, y, range(3))
    assert np.isfinite(network.predict_proba(X)).all()


def test_a_stream_of_weights_of_all_sizes_stays_finite():
    network = ScaledMLPRegressor(width=8, random_state=0)
    for size in (1.0, 5e-324, 1e-300, 1e307, None, 1e307):
        weights = None if size is None else np.full(60, size)
        network.partial_fit(X, y, sample_weight=weights)
        assert np.isfinite(network.predict(X)).all()


def test_products_of_weights_are_exact_up_to_a_power_of_two():
    a, b = rng.uniform(0.1, 10, (2, 50))
    ratio = combine_weights(a, b) / (a * b)
    np.testing.assert_array_equal(ratio, ratio[0])
    assert np.frexp(ratio[0])[0] == 0.5
    np.testing.assert_array_equal(multiply_weights(a, b), a * b)
    assert 0.25 <= combine_weights(a * 1e300, b * 1e307).max() <= 1
    assert 0.25 <= combine_weights(a * 1e-300, b * 1e-305).max() <= 1
    assert not combine_weights(a * 0, b).any()
