"""Ensembles, and calibrated probabilities."""

import copy
import pickle
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV

from skscale import (
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    complexity,
)
from skscale.estimators.calibration import find_inverse_temperature
from skscale.fusion import last_fused_run
from skscale.inference.heads import mean_of_logarithms
from skscale.networks.weights import Weights

FAST = {"width": 8, "max_epochs": 4, "random_state": 0}


def member(fitted, k):
    """The k-th network of an ensemble, as an estimator of its own."""
    alone = pickle.loads(pickle.dumps(fitted))
    weights = Weights([c[k] for c in fitted.coefs_], [b[k] for b in fitted.intercepts_])
    network = replace(fitted.predictor_.network, weights=weights)
    alone.predictor_ = replace(alone.predictor_, network=network)
    return alone


@pytest.mark.parametrize("kind", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("normalization", [None, "layer"])
def test_probabilities_are_those_of_the_members_on_average(digits, kind, normalization):
    X, y = digits[0][:300], digits[1][:300]
    y = {"binary": y > 4, "multilabel": np.stack([y > 4, y % 2], 1)}.get(kind, y)
    fitted = ScaledMLPClassifier(n_estimators=3, normalization=normalization, **FAST).fit(X, y)
    each = [member(fitted, k).predict_proba(X) for k in range(3)]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    for rows in (slice(None), slice(5), slice(1)):
        p = fitted.predict_proba(X[rows])
        np.testing.assert_allclose(p, np.mean(each, axis=0)[rows], atol=1e-6)
    if kind != "multilabel":
        np.testing.assert_array_equal(
            fitted.predict(X), fitted.classes_[fitted.predict_proba(X).argmax(axis=1)]
        )
    np.testing.assert_allclose(
        np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_numbers_are_those_of_the_members_on_average(diabetes, loss):
    X, y = diabetes
    fitted = ScaledMLPRegressor(n_estimators=3, loss=loss, **FAST).fit(X, y)
    each = [member(fitted, k).predict(X) for k in range(3)]
    assert np.abs(each[0] - each[1]).max() > 1e-3
    np.testing.assert_allclose(fitted.predict(X), np.mean(each, axis=0), rtol=1e-5)
    np.testing.assert_allclose(fitted.predict(X[:2]), np.mean(each, axis=0)[:2], rtol=1e-5)


def test_members_are_counted_and_the_first_is_the_network_alone(Estimator, small):
    X, y = small
    settings = {**FAST, "precision": "float64"}
    alone = Estimator(**settings).fit(X, y)
    ensemble = Estimator(n_estimators=3, **settings).fit(X, y)
    for a, b in zip(ensemble.coefs_, alone.coefs_, strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-9)
    assert complexity(ensemble).n_parameters == 3 * complexity(alone).n_parameters
    assert complexity(ensemble).widths == complexity(alone).widths
    assert not hasattr(ensemble, "net_")
    with pytest.raises(ValueError, match="expected n_estimators=1"):
        Estimator(n_estimators=2, callbacks=["anything"]).fit(X, y)


def test_an_ensemble_beats_its_members(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(n_estimators=6, width=16, max_epochs=6, random_state=0)
    fitted.fit(X[:900], y[:900])
    losses = [log_loss(y[900:], member(fitted, k).predict_proba(X[900:])) for k in range(6)]
    assert log_loss(y[900:], fitted.predict_proba(X[900:])) < np.mean(losses)


def test_ensembles_train_together_in_a_search(digits):
    X, y = digits[0][:300], digits[1][:300]
    network = ScaledMLPClassifier(precision="float64", **FAST)
    search = GridSearchCV(network, {"n_estimators": [1, 3]}, cv=2, error_score="raise")
    plain = clone(search).fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend="skscale"):
        search.fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain)
    run = last_fused_run()
    assert run.n_fits == 2 * (1 + 3)
    assert max(run.stack_sizes) > 3


def test_streams_and_warm_starts_continue_all_members(Estimator, small):
    X, y = small
    classes = {"classes": np.unique(y)} if Estimator is ScaledMLPClassifier else {}
    settings = {**FAST, "precision": "float64", "early_stopping": False}
    stream = Estimator(n_estimators=2, **settings)
    lone = Estimator(**settings)
    for piece in (slice(100), slice(100, 200)):
        stream.partial_fit(X[piece], y[piece], **classes)
        lone.partial_fit(X[piece], y[piece], **classes)
    np.testing.assert_allclose(stream.coefs_[0][0], lone.coefs_[0], rtol=1e-9)
    assert np.abs(stream.coefs_[0][0] - stream.coefs_[0][1]).max() > 0.01
    warm = stream.set_params(warm_start=True).fit(X, y)
    assert warm.coefs_[0].shape[0] == 2
    with pytest.raises(ValueError, match="expected n_estimators=2, got 1"):
        warm.set_params(n_estimators=1).fit(X, y)


@pytest.mark.parametrize("factor", [0.2, 1.0, 5.0])
def test_the_temperature_of_logits_is_found(factor):
    rng = np.random.default_rng(0)
    z = 2 * rng.standard_normal((20_000, 4))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (p.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert factor * find_inverse_temperature(z * factor, y, None) == pytest.approx(1, rel=0.05)
    weights = np.where(rng.random(20_000) < 0.5, 2.0, 0.0)
    assert factor * find_inverse_temperature(z * factor, y, weights) == pytest.approx(
        1, rel=0.05
    )
    labels = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(float)
    assert factor * find_inverse_temperature(z * factor, labels, None) == pytest.approx(
        1, rel=0.05
    )


def test_few_rows_that_are_all_right_do_not_make_a_network_certain():
    y = np.arange(20) % 2
    z = np.where(y[:, None] == [0, 1], 3.0, -3.0)
    factor = find_inverse_temperature(z, y, None)
    p = 1 / (1 + np.exp(-6 * factor))
    assert 0.9 < p < 0.99
    assert np.isfinite(find_inverse_temperature(np.zeros((5, 3)), np.zeros(5, int), None))


def test_calibration_changes_probabilities_and_no_label(digits):
    X, y = digits
    settings = {"width": 32, "max_epochs": 20, "random_state": 0}
    plain = ScaledMLPClassifier(calibrate=False, **settings).fit(X[:900], y[:900])
    calibrated = ScaledMLPClassifier(**settings).fit(X[:900], y[:900])
    np.testing.assert_array_equal(plain.predict(X), calibrated.predict(X))
    losses = [log_loss(y[900:], m.predict_proba(X[900:])) for m in (plain, calibrated)]
    assert losses[1] < losses[0]


def test_the_mean_of_logarithms_does_not_underflow():
    logarithms = np.log([[0.5, 0.25], [0.25, 0.75]]) - 2000
    np.testing.assert_allclose(
        mean_of_logarithms(logarithms), np.log([0.375, 0.5]) - 2000, rtol=1e-12
    )


@pytest.mark.parametrize("family", ["classifier", "regressor", "cnn", "module"])
def test_a_warm_start_adds_the_members_that_a_larger_ensemble_has(family, digits, diabetes):
    from tests.test_network import Dense

    X, y = diabetes if family == "regressor" else digits
    X, y = X[:200], y[:200]
    settings = {"max_epochs": 3, "random_state": 0, "warm_start": True}
    network = {
        "classifier": ScaledMLPClassifier(width=8, **settings),
        "regressor": ScaledMLPRegressor(width=8, **settings),
        "cnn": ScaledCNNClassifier(width=4, image_shape=(8, 8), **settings),
        "module": ScaledNetworkClassifier(Dense, **settings),
    }[family]
    grown = clone(network).set_params(n_estimators=2).fit(X, y)
    first, history, seconds = grown.coefs_[0], grown.history_, grown.fit_time_
    grown.set_params(n_estimators=4).fit(X, y)
    whole = clone(network).set_params(n_estimators=4).fit(X, y)
    np.testing.assert_array_equal(grown.coefs_[0][:2], first)
    for a, b in zip(grown.coefs_, whole.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(grown.predict(X[:50]), whole.predict(X[:50]), rtol=1e-3)
    np.testing.assert_array_equal(grown.history_["train_loss"], history["train_loss"])
    assert grown.n_iter_ == len(history["epoch"])
    assert grown.fit_time_ > seconds
    one = clone(network).fit(X, y)
    one.set_params(n_estimators=2).fit(X, y)
    np.testing.assert_allclose(one.coefs_[0], grown.coefs_[0][:2], rtol=1e-4, atol=1e-5)


def test_members_are_not_added_to_pruned_reshaped_or_streamed_networks(digits):
    X, y = digits[0][:200], digits[1][:200]
    settings = {"width": 8, "max_epochs": 2, "random_state": 0, "warm_start": True}
    fitted = ScaledMLPClassifier(**settings, n_estimators=2).fit(X, y)
    before = fitted.coefs_[0]
    with pytest.raises(ValueError, match=r"got widths=.9, 9. with n_estimators=3"):
        copy.deepcopy(fitted).set_params(n_estimators=3, width=9).fit(X, y)
    with pytest.raises(ValueError, match=r"without pruning.*got 3 with pruning=0\.5"):
        copy.deepcopy(fitted).set_params(n_estimators=3, pruning=0.5).fit(X, y)
    with pytest.raises(ValueError, match="expected n_estimators=2, got 1"):
        copy.deepcopy(fitted).set_params(n_estimators=1).fit(X, y)
    with pytest.raises(ValueError, match="partial_fit can do neither"):
        copy.deepcopy(fitted).set_params(n_estimators=3).partial_fit(X, y)
    pruned = ScaledMLPClassifier(**settings, n_estimators=2, pruning=0.5).fit(X, y)
    with pytest.raises(ValueError, match="without pruning"):
        pruned.set_params(n_estimators=3).fit(X, y)
    assert fitted.coefs_[0] is before
