"""Optimizers: torch's arithmetic, stacks of different ones, and the tools of scikit-learn."""

import pickle

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import EpochScoring

import skscale
from skscale import SGD, AdamW, ScaledCNNClassifier, ScaledMLPClassifier, ScaledMLPRegressor
from skscale.fusion import last_fused_run

FAST = {"width": 8, "max_epochs": 4, "random_state": 0, "precision": "float64"}
OPTIMIZERS = [
    AdamW(), AdamW(0.8, 0.999, 1e-6), SGD(), SGD(0.5, nesterov=False), SGD(0), SGD(0.99),
]  # fmt: skip


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order], y[order]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    "rate", [0.1, torch.tensor(0.1, dtype=torch.float64)], ids=["number", "tensor"]
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_an_update_is_that_of_torch(optimizer, rate, dtype):
    generator = torch.manual_seed(0)
    start = torch.randn(50, dtype=dtype, generator=generator)
    expected = start.clone().requires_grad_()
    kind, arguments = optimizer.for_torch()
    theirs = kind([expected], lr=0.1, weight_decay=0.0, **arguments)
    found, first, second = (
        start.clone(),
        torch.zeros(50, dtype=dtype),
        torch.zeros(50, dtype=dtype),
    )
    n_steps = torch.zeros((), dtype=torch.float32)
    for _ in range(5):
        gradient = torch.randn(50, dtype=dtype, generator=generator)
        expected.grad = gradient.clone()
        theirs.step()
        n_steps += 1
        optimizer.update([found], [gradient], [first], [second], [n_steps], rate, 0.0)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
def test_weight_decay_is_decoupled(optimizer, iris):
    # A gradient of zero leaves decay alone: constant inputs and balanced targets.
    X, y = np.zeros((40, 2)), np.tile([0.0, 1.0], 20)
    network = ScaledMLPRegressor(
        0, optimizer=optimizer, weight_decay=0.5, learning_rate=0.1, lr_schedule="constant",
        batch_size=40, early_stopping=False, preprocessing=None, warm_start=True, **FAST,
    ).set_params(max_epochs=1).fit(X, y)  # fmt: skip
    network.coefs_[0][:] = 1.0
    network.fit(X, y)
    np.testing.assert_allclose(network.coefs_[0], 0.95, rtol=1e-9)


def test_members_of_a_stack_are_equal_to_lone_fits(iris):
    grid = {"optimizer": OPTIMIZERS, "learning_rate": [0.02, 0.1], "l1": [0.0, 1e-3]}
    network = ScaledMLPClassifier(early_stopping=False, **FAST)
    scores = {}
    for backend in ("sequential", "skscale"):
        with joblib.parallel_config(backend=backend):
            search = GridSearchCV(
                network, grid, cv=2, scoring="neg_log_loss", refit=False, error_score="raise"
            ).fit(*iris)
        scores[backend] = search.cv_results_["mean_test_score"]
    assert max(last_fused_run().stack_sizes) > 3
    np.testing.assert_allclose(scores["skscale"], scores["sequential"], rtol=1e-9)
    assert len(np.unique(scores["sequential"].round(9))) == len(scores["sequential"])


@pytest.mark.parametrize(
    "optimizer", ["sgd", SGD(0.5, nesterov=False), AdamW(beta2=0.999)], ids=str
)
def test_skorch_callbacks_see_the_same_training(iris, optimizer):
    network = ScaledMLPClassifier(
        optimizer=optimizer, weight_decay=0.1, l1=1e-3, learning_rate=0.05, **FAST
    )
    expected = clone(network).fit(*iris).predict_proba(iris[0])
    callbacks = [EpochScoring("accuracy", lower_is_better=False)]
    found = clone(network).set_params(callbacks=callbacks).fit(*iris)
    np.testing.assert_allclose(found.predict_proba(iris[0]), expected, rtol=1e-6)


@pytest.mark.parametrize("Estimator", [ScaledMLPClassifier, ScaledCNNClassifier])
def test_sgd_learns(Estimator, digits):
    X, y = digits[0][:400], digits[1][:400]
    X = X.reshape(-1, 8, 8) if Estimator is ScaledCNNClassifier else X
    network = Estimator(optimizer="sgd", learning_rate=0.3, max_epochs=15, random_state=0)
    assert network.fit(X, y).score(X, y) > 0.9


def test_streams_continue_the_state_and_another_optimizer_resets_it(iris):
    X, y = iris
    stream = ScaledMLPClassifier(optimizer="sgd", **FAST)
    for _ in range(3):
        stream.partial_fit(X, y, classes=np.unique(y))
    loaded = pickle.loads(pickle.dumps(clone(stream)))
    for _ in range(3):
        loaded.partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(loaded.coefs_[0], stream.coefs_[0])
    stream.set_params(optimizer=SGD(0.5)).partial_fit(X, y)
    assert np.isfinite(stream.predict_proba(X)).all()


def test_objects_in_searches_files_and_checkpoints(iris, tmp_path):
    assert AdamW() == AdamW(0.9)
    assert SGD() != SGD(0.5)
    assert SGD() != AdamW()
    assert hash(SGD()) == hash(SGD(0.9))
    grid = {"optimizer": [SGD()], "optimizer__momentum": [0.0, 0.9]}
    search = GridSearchCV(ScaledMLPClassifier(**FAST), grid, cv=2, error_score="raise")
    assert len(search.fit(*iris).cv_results_["params"]) == 2
    network = ScaledMLPClassifier(optimizer=SGD(0.5), memory=tmp_path / "kept", **FAST).fit(
        *iris
    )
    assert clone(network).fit(*iris).fit_time_ == network.fit_time_
    other = clone(network).set_params(optimizer__momentum=0.9).fit(*iris)
    assert not np.array_equal(other.coefs_[0], network.coefs_[0])
    skscale.save(network, tmp_path / "network.skops")
    assert skscale.load(tmp_path / "network.skops").optimizer == SGD(0.5)


def test_other_values_are_refused_by_name(iris):
    with pytest.raises(ValueError, match="'optimizer' parameter of ScaledMLPClassifier"):
        ScaledMLPClassifier(optimizer="adam", **FAST).fit(*iris)
    with pytest.raises(ValueError, match="'momentum' parameter of SGD must be a float"):
        ScaledMLPClassifier(optimizer=SGD(1.0), **FAST).fit(*iris)
    with pytest.raises(ValueError, match=r"optimizer__momentum is a parameter .*optimizer="):
        ScaledMLPClassifier(optimizer="sgd").set_params(optimizer__momentum=0.5)
