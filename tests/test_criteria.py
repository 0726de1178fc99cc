"""Importance criteria: your own, for all families, units and weights."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skscale import Importance, Pruning, ScaledCNNClassifier, ScaledMLPClassifier
from skscale.compression.criteria import IMPORTANCES, importance_of

SETTINGS = {"max_epochs": 2, "random_state": 0, "precision": "float64"}
NETWORKS = [
    ScaledMLPClassifier(depth=3, width=12, residual=True, n_estimators=2, **SETTINGS),
    ScaledCNNClassifier(depth=2, width=4, **SETTINGS),
]


class OwnTaylor(Importance):
    needs_gradients = True

    def of_units(self, layers):
        total = 0
        for layer in layers:
            assert layer.activations.shape == layer.gradients.shape
            total = total + (layer.activations * layer.gradients).sum(3)
        return total.abs()

    def of_weights(self, layer):
        return np.abs(layer.weights) * np.abs(layer.gradients)


class OwnActivity(Importance):
    needs_activations = True

    def of_units(self, layers):
        assert all(layer.gradients is None for layer in layers)
        return sum(layer.activations.abs().mean(3) for layer in layers)

    def of_weights(self, layer):
        return np.abs(layer.weights * layer.input_norms)


class OwnMagnitude(Importance):
    def __init__(self, power=1.0):
        self.power = power

    def of_units(self, layers):
        def sizes(weights):
            return np.square(weights, dtype=np.float64).reshape(len(weights), -1).sum(1)

        incoming = sum(sizes(layer.incoming) for layer in layers)
        return (incoming * sum(sizes(layer.outgoing) for layer in layers)) ** (self.power / 2)

    def of_weights(self, layer):
        return np.abs(layer.weights) ** self.power


class UnitsOnly(Importance):
    needs_activations = True

    def of_units(self, layers):
        return sum(layer.activations.square().mean(3) for layer in layers)


OWN = {"taylor": OwnTaylor(), "activation": OwnActivity(), "magnitude": OwnMagnitude()}


@pytest.fixture(scope="module")
def images():
    X, y = load_digits(return_X_y=True)
    return X[:200], y[:200]


@pytest.mark.parametrize("granularity", ["neurons", "weights"])
@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_a_criterion_of_your_own_that_computes_the_same_prunes_the_same(
    images, network, name, granularity
):
    if isinstance(network, ScaledCNNClassifier):
        if (name, granularity) == ("activation", "weights"):
            return  # see below
        images = images[0].reshape(-1, 8, 8), images[1]
    predicted = [
        clone(network)
        .set_params(pruning=Pruning(0.5, granularity, importance, finetune_epochs=1))
        .fit(*images)
        .predict_proba(images[0])
        for importance in (name, OWN[name])
    ]
    np.testing.assert_allclose(*predicted, rtol=1e-9, atol=1e-12)


def test_another_criterion_prunes_otherwise(images):
    names = ["taylor", "activation", "magnitude", UnitsOnly(), OwnMagnitude(-1.0)]
    fits = [
        ScaledMLPClassifier(
            width=16, pruning=Pruning(0.5, importance=name, finetune_epochs=1), **SETTINGS
        ).fit(*images)
        for name in names
    ]
    found = {fitted.predict_proba(images[0]).tobytes() for fitted in fits}
    assert len(found) == len(names)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: type(network).__name__)
def test_a_criterion_without_weights_is_refused_before_the_training(images, network):
    pruning = Pruning(0.5, "weights", UnitsOnly())
    with pytest.raises(ValueError, match=r"UnitsOnly\(\) defines no importance of single wei"):
        clone(network).set_params(pruning=pruning, max_epochs=10**9).fit(*images)


@pytest.mark.parametrize(
    ("importance", "written"), [("activation", '"activation"'), (OwnActivity(), "OwnActivity")]
)
def test_inputs_of_single_weights_are_those_of_dense_networks(images, importance, written):
    network = ScaledCNNClassifier(
        width=4, pruning=Pruning(0.5, "weights", importance), **SETTINGS
    )
    with pytest.raises(ValueError, match=f"importance={written}.*is for dense networks"):
        network.fit(images[0].reshape(-1, 8, 8), images[1])


def test_a_narrower_width_of_a_warm_start_keeps_the_units_of_the_criterion(images):
    def shrink(importance):
        network = ScaledMLPClassifier(
            width=16, warm_start=True, pruning=Pruning(0.0, importance=importance), **SETTINGS
        ).fit(*images)
        return network.set_params(width=8).fit(*images).predict_proba(images[0])

    np.testing.assert_allclose(shrink("taylor"), shrink(OwnTaylor()), rtol=1e-9, atol=1e-12)
    assert np.abs(shrink("taylor") - shrink(OwnMagnitude(-1.0))).max() > 1e-6


def test_a_criterion_is_a_hyperparameter(images):
    own = OwnMagnitude(0.5)
    assert own == OwnMagnitude(0.5) == clone(own) == pickle.loads(pickle.dumps(own))
    assert own != OwnMagnitude(2.0)
    assert Pruning(importance=own) == clone(Pruning(importance=own))
    network = ScaledMLPClassifier(
        width=8, pruning=Pruning(0.5, importance=own, finetune_epochs=1), **SETTINGS
    )
    assert network.get_params()["pruning__importance__power"] == 0.5
    grid = [
        {"pruning__importance": ["magnitude", OwnMagnitude(), UnitsOnly()]},
        {"pruning__importance__power": [0.5, -1.0]},
    ]
    scores = GridSearchCV(network, grid, cv=2).fit(*images).cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert scores[0] == pytest.approx(scores[1])
    assert network.pruning.importance == own


def test_a_name_stands_for_a_criterion():
    for name, criterion in IMPORTANCES.items():
        assert importance_of(name) is criterion
        assert criterion.has_weights
        assert criterion == clone(criterion)
    assert not UnitsOnly().has_weights
    with pytest.raises(TypeError, match=r"abstract method '?of_units"):
        Importance()
    with pytest.raises(ValueError, match="'importance' parameter of Pruning must be"):
        Pruning(importance="size")._validate_params()
