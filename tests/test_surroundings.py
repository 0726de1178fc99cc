"""Independence of a fit from torch's settings around it."""

import contextlib
import math
import threading

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback

from skscale import (
    Loss,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    diagnose,
    prune,
)
from skscale.fusion import last_fused_run
from skscale.networks.surroundings import neutral_surroundings


@contextlib.contextmanager
def _setting(set_, value, former):
    set_(value)
    try:
        yield
    finally:
        set_(former)


SURROUNDINGS = {
    "grad disabled": lambda: _setting(torch.set_grad_enabled, False, True),
    "inference_mode": torch.inference_mode,
    "float64": lambda: _setting(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": lambda: _setting(torch.set_default_device, "meta", None),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


class Own(torch.nn.Module):
    """Module that makes tensors in most ways, when it is built and in each pass."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.hidden = torch.nn.Linear(n_features, 8)
        self.norm = torch.nn.BatchNorm1d(8)
        self.drop = torch.nn.Dropout(0.2)
        self.recur = torch.nn.GRU(8, 8, batch_first=True)
        self.output = torch.nn.Linear(8, n_outputs)
        self.bias = torch.nn.Parameter(torch.tensor([0.1] * 8))
        self.scale = torch.nn.Parameter(torch.full((8,), 0.5) + torch.rand(8))
        places = torch.arange(8)
        self.register_buffer("places", torch.exp(places * (-math.log(100.0) / 8)))
        self.register_buffer("shares", places / 8 + torch.linspace(0, 1, 8))

    def forward(self, x):
        x = self.drop(torch.relu(self.norm(self.hidden(x)))) * self.scale + self.bias
        x = x + self.places + self.shares + torch.arange(0.0, 0.8, 0.1)
        start = torch.zeros(1, len(x), 8) + torch.as_tensor([0.5])
        return self.output(self.recur(x[:, None], start.to(x))[1][0])


class LogCosh(Loss):
    def value(self, outputs, targets):
        return torch.log(torch.cosh(outputs - targets)).mean(-1)


rng = np.random.RandomState(0)
X = rng.randn(60, 16)
y = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
settings = {"max_epochs": 2, "random_state": 0, "device": "cpu"}
ESTIMATORS = {
    "dense": ScaledMLPClassifier(width=8, **settings),
    "own loss": ScaledMLPRegressor(width=8, loss=LogCosh(), **settings),
    "convolutional": ScaledCNNClassifier(image_shape=(4, 4), width=4, **settings),
    "own": ScaledNetworkClassifier(Own, **settings),
    "own float64": ScaledNetworkClassifier(Own, precision="float64", **settings),
}


def _fit(estimator, **parameters):
    return clone(estimator).set_params(**parameters).fit(X, y)


def _stream(estimator):
    network = clone(estimator)
    classes = () if isinstance(network, ScaledMLPRegressor) else ([0, 1, 2],)
    return network.partial_fit(X, y, *classes).partial_fit(X, y)


TRAININGS = {
    "fit": _fit,
    "callbacks": lambda e: _fit(e, callbacks=[("nothing", Callback())]),
    "partial_fit": _stream,
    "warm start": lambda e: _fit(e).set_params(warm_start=True).fit(X, y),
    "pruning": lambda e: _fit(e, pruning=0.5),
    "prune": lambda e: prune(_fit(e), X, y, amount=0.5),
}


@pytest.fixture(scope="module")
def ordinary():
    return {}


def _trained(name, training, cache):
    if (name, training) not in cache:
        cache[name, training] = TRAININGS[training](ESTIMATORS[name])
    return cache[name, training]


# Own modules have no units to prune.
PAIRS = [
    (name, training)
    for name, estimator in ESTIMATORS.items()
    for training in TRAININGS
    if "prun" not in training or not isinstance(estimator, ScaledNetworkClassifier)
]


@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize(("name", "training"), PAIRS)
def test_a_training_does_not_depend_on_settings_of_torch(name, training, around, ordinary):
    expected = _trained(name, training, ordinary)
    outputs = expected.predict(X)
    with SURROUNDINGS[around]():
        before = _read_settings()
        network = TRAININGS[training](ESTIMATORS[name])
        predicted = network.predict(X)
        assert _read_settings() == before
    for a, b in zip(
        network.coefs_ + network.intercepts_,
        expected.coefs_ + expected.intercepts_,
        strict=True,
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(predicted, outputs)
    np.testing.assert_array_equal(network.loss_curve_, expected.loss_curve_)


def _read_settings():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_device(),
        torch.get_default_dtype(),
    )


@pytest.mark.parametrize(
    "around",
    [
        pytest.param(
            name, marks=[] if name in ("grad disabled", "float64") else pytest.mark.slow
        )
        for name in SURROUNDINGS
    ],
)
def test_a_fused_search_and_a_diagnosis_do_not_depend_on_them(around):
    def run():
        search = GridSearchCV(ESTIMATORS["own"], {"learning_rate": [0.01, 0.02]}, cv=2)
        with joblib.parallel_config(backend="skscale"):
            search.fit(X, y)
        assert last_fused_run().n_fits == 4
        found = diagnose(ESTIMATORS["dense"], X, y, cv=2)
        return search.cv_results_["mean_test_score"], str(found)

    scores, text = run()
    with SURROUNDINGS[around]():
        found, other = run()
    np.testing.assert_array_equal(found, scores)
    assert other.splitlines()[0] == text.splitlines()[0]


@pytest.mark.parametrize("around", SURROUNDINGS)
def test_the_skorch_net_is_of_the_same_dtype_and_device(around):
    network = _fit(ESTIMATORS["convolutional"])
    expected = network.net_.predict_proba(X.astype(np.float32))
    with SURROUNDINGS[around]():
        net = network.net_
    np.testing.assert_array_equal(net.predict_proba(X.astype(np.float32)), expected)


@pytest.mark.parametrize("around", SURROUNDINGS)
def test_a_failed_fit_restores_the_settings(around):
    with SURROUNDINGS[around]():
        before = _read_settings()
        with pytest.raises(ValueError, match="diverged"):
            _fit(ESTIMATORS["own"], learning_rate=1e30)
        assert _read_settings() == before


def test_the_default_dtype_of_other_threads_is_not_changed():
    with SURROUNDINGS["float64"]():
        inside = threading.Event()
        done = threading.Event()

        def hold():
            with neutral_surroundings():
                inside.set()
                done.wait(10)
                found.append(torch.zeros(1).dtype)

        found = []
        thread = threading.Thread(target=hold)
        thread.start()
        inside.wait(10)
        assert torch.zeros(1).dtype == torch.float64
        done.set()
        thread.join()
    assert found == [torch.float32]


def test_only_the_default_dtype_is_replaced():
    wide = torch.ones(2, dtype=torch.float64)
    with SURROUNDINGS["float64"](), neutral_surroundings(), neutral_surroundings():
        assert torch.rand(2).dtype == torch.float32
        assert torch.tensor([1, 2]).dtype == torch.int64
        assert torch.full((2,), 3).dtype == torch.int64
        assert torch.tensor(np.ones(2)).dtype == torch.float64
        assert torch.as_tensor(wide).dtype == torch.float64
        assert torch.zeros(2, dtype=torch.float64).dtype == torch.float64
        assert (wide * 2).dtype == torch.float64
        assert torch.arange(3).double().dtype == torch.float64
        assert torch.arange(3).to(torch.float64).dtype == torch.float64
        assert torch.arange(3).type(torch.float64).dtype == torch.float64
        assert torch.where(torch.tensor([True, False]), 0.5, 1.0).dtype == torch.float32
        assert torch.zeros_like(wide).dtype == torch.float64
