"""Activation functions: the built-in ones against torch, and one of a user's own everywhere."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score

import skscale
from skscale import (
    Activation,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    freeze,
)
from skscale.networks.activations import ACTIVATIONS

FAST = {"width": 8, "max_epochs": 4, "random_state": 0}


class Squareplus(Activation):
    """`(z + sqrt(z**2 + b)) / 2` (Barron 2021, eq. 1)."""

    variance_gain = 2.0
    passes_linear = True

    def __init__(self, b=4.0):
        self.b = b

    def forward(self, xp, z):
        return (z + xp.sqrt(z * z + self.b)) / 2

    def add_to_graph(self, graph, z, dtype):
        square = graph.add("Add", graph.add("Mul", z, z), np.array(self.b, dtype))
        total = graph.add("Add", z, graph.add("Sqrt", square))
        return graph.add("Mul", total, np.array(0.5, dtype))


class OwnSiLU(Activation):
    variance_gain = 2.0

    def forward(self, xp, z):
        return z / (1 + xp.exp(-z))


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 5))
    return X, X[:, 0] * X[:, 1] + X[:, 2]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_all_forms_of_an_activation_agree(name):
    activation = ACTIVATIONS[name]
    z = torch.linspace(-30, 30, 601, dtype=torch.float64)
    expected = activation.differentiable(z.clone())
    found = activation.forward(np, z.numpy().copy())
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    if activation.in_place is not None:
        assert activation.saves == "output"
        torch.testing.assert_close(activation.in_place(z.clone()), expected)
    grad, out = torch.randn(601, dtype=torch.float64, generator=torch.manual_seed(0)), z.clone()
    saved = z if activation.saves == "input" else expected
    activation.backward(grad, saved, out)
    by_autograd = torch.empty_like(z)
    Activation.backward(activation, grad, z, by_autograd)
    torch.testing.assert_close(out, by_autograd)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_attributes_of_an_activation_match_its_function(name):
    activation = ACTIVATIONS[name]
    z = torch.linspace(-5, 5, 101, dtype=torch.float64)
    difference = activation.differentiable(z.clone()) - activation.differentiable(-z)
    assert torch.allclose(difference, z) == activation.passes_linear
    zero = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(activation.differentiable(zero), zero)
    assert (slope.item() == 0) == activation.is_flat_at_zero


def test_one_of_a_users_own_trains_as_the_built_in_one(table):
    settings = {"precision": "float64", **FAST}
    own = ScaledMLPRegressor(activation=OwnSiLU(), **settings).fit(*table)
    built_in = ScaledMLPRegressor(activation="silu", **settings).fit(*table)
    np.testing.assert_allclose(own.predict(table[0]), built_in.predict(table[0]), rtol=1e-9)


def test_one_of_a_users_own_is_compared_by_value_and_searched(table):
    assert Squareplus() == Squareplus(4.0)
    assert Squareplus() != Squareplus(1.0)
    assert hash(Squareplus()) == hash(Squareplus(4.0))
    assert repr(Squareplus(1.0)) == "Squareplus(b=1.0)"
    table_of = np.array([1.0, 2.0])
    assert Squareplus(table_of) == Squareplus(table_of.copy())
    assert Squareplus(table_of) != Squareplus(table_of + 1)
    grid = {"activation": ["relu", Squareplus(), Squareplus(1.0)]}
    search = GridSearchCV(ScaledMLPRegressor(**FAST), grid, cv=2, error_score="raise")
    search.fit(*table)
    alone = [
        cross_val_score(ScaledMLPRegressor(activation=a, **FAST), *table, cv=2).mean()
        for a in grid["activation"]
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], alone, rtol=1e-6)


def test_members_pickles_copies_and_dropout(table):
    X, y = table
    network = ScaledMLPRegressor(
        activation=Squareplus(),
        n_estimators=2,
        dropout=0.2,
        normalization="layer",
        depth=3,
        **FAST,
    ).fit(X, y)
    loaded = pickle.loads(pickle.dumps(network))
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    assert clone(network).activation == network.activation
    np.testing.assert_allclose(network.predict(X[:1]), network.predict(X)[:1], rtol=1e-5)
    single = clone(network).set_params(n_estimators=1).fit(X, y)
    from_torch = single.net_.module_.eval()(torch.from_numpy(X)).detach().numpy()
    np.testing.assert_allclose(from_torch, single.predict(X), rtol=1e-4, atol=1e-5)


def test_a_linear_model_grows_a_hidden_layer_of_it(table):
    X, y = table
    network = ScaledMLPRegressor(
        0, activation=Squareplus(), warm_start=True, precision="float64", **FAST
    ).fit(X, y)
    before = network.predict(X)
    network.set_params(depth=1, max_epochs=1, learning_rate=1e-9, early_stopping=False)
    np.testing.assert_allclose(network.fit(X, y).predict(X), before, atol=1e-6)


def test_images_and_onnx(table):
    X = np.random.default_rng(0).random((40, 8, 8))
    y = np.arange(40) % 2
    network = ScaledCNNClassifier(activation=Squareplus(), **FAST).fit(X, y)
    assert np.isfinite(network.predict_proba(X)).all()
    skl2onnx = pytest.importorskip("skl2onnx")
    import onnxruntime

    pytest.importorskip("skscale.onnx")

    X, y = table[0].astype(np.float32), table[1]
    fitted = ScaledMLPRegressor(activation=Squareplus(), **FAST).fit(X, y)
    graph = skl2onnx.to_onnx(fitted, X[:1])
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (found,) = session.run(None, {"X": X})
    np.testing.assert_allclose(found.ravel(), fitted.predict(X), atol=1e-4)
    without = ScaledMLPRegressor(activation=OwnSiLU(), **FAST).fit(X, y)
    with pytest.raises(TypeError, match="activation OwnSiLU has no ONNX form"):
        skl2onnx.to_onnx(without, X[:1])


def test_a_file_of_a_predictor_takes_no_code_of_a_users_own(table, tmp_path):
    fitted = ScaledMLPRegressor(activation=Squareplus(), **FAST).fit(*table)
    frozen = freeze(fitted)
    np.testing.assert_array_equal(frozen.predict(table[0]), fitted.predict(table[0]))
    with pytest.raises(TypeError, match=r"no code: .*Squareplus.*Save the estimator with"):
        frozen.save(tmp_path / "frozen.skscale")
    skscale.save(fitted, tmp_path / "estimator.skops")
    with pytest.raises(ValueError, match=r"not trusted: tests\.test_activations\.Squareplus"):
        skscale.load(tmp_path / "estimator.skops")


def test_other_values_are_refused_by_name(table):
    for value in ("swish", 3, Squareplus):
        with pytest.raises(ValueError, match="'activation' parameter of ScaledMLPClassifier"):
            ScaledMLPClassifier(activation=value, **FAST).fit(table[0], table[1] > 0)
