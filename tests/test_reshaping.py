"""Warm starts with another depth or width: what is computed before training goes on."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    Pruning,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledNetworkClassifier,
    prune,
)
from skscale.compression.growth import reshape
from skscale.networks.activations import ACTIVATIONS
from skscale.networks.dense.architecture import DenseArchitecture
from skscale.networks.dense.forward import Dense
from skscale.training.losses import CrossEntropy
from skscale.training.optimizers import AdamW
from skscale.training.schedules import SCHEDULES
from skscale.training.task import Recipe, Task
from tests.test_pruning import draw

FAST = {"max_epochs": 3, "random_state": 0}
# A step so small that what is learnt of it is below what float32 can tell.
AT_REST = {"max_epochs": 1, "learning_rate": 1e-30, "weight_decay": 0.0, "warm_start": True}


def describe(architecture, seed=0):
    recipe = Recipe(AdamW(), 0.01, SCHEDULES["constant"], 0.0, 0.0, 0.0, 32, 1, None, 5, 0.0)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((200, architecture.n_features))
    targets = rng.integers(architecture.n_outputs, size=200)
    return Task(
        X=rows, targets=targets, weights=None, train_rows=np.arange(200), valid_rows=None,
        architecture=architecture, recipe=recipe, loss=CrossEntropy(), seed=seed,
        device=torch.device("cpu"), precision="float64",
    )  # fmt: skip


def predict(fitted, X):
    of_classes = hasattr(fitted, "predict_proba")
    return fitted.predict_proba(X) if of_classes else fitted.predict(X)


def at_rest(fitted, **scale):
    """Return a copy that goes on in another shape without learning anything."""
    settings = AT_REST | ({"calibrate": False} if "calibrate" in fitted.get_params() else {})
    return copy.deepcopy(fitted).set_params(**settings, **scale)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize(
    ("widths", "wanted"),
    [
        ((8,), (24,)),
        ((8,), (8, 8, 8)),
        ((8, 8), (16, 16, 16, 16)),
        ((6, 6, 4), (12, 12, 4, 4)),
        ((6, 4), (18, 8, 8)),
    ],
)
def test_a_larger_network_computes_the_same(activation, normalization, widths, wanted):
    former = DenseArchitecture(5, widths, 3, activation, normalization, residual=True)
    architecture = replace(former, widths=wanted)
    networks = draw(former, 2, np.random.default_rng(1))
    grown = reshape(former, architecture, networks, describe(architecture), "taylor")
    X = np.random.default_rng(2).standard_normal((50, 5))
    for before, after in zip(networks, grown, strict=True):
        assert [c.shape for c in after.coefs] == architecture.layer_shapes
        np.testing.assert_allclose(
            Dense(architecture, after).outputs(X), Dense(former, before).outputs(X), atol=1e-12
        )


def test_other_widths_grow_without_normalization():
    former = DenseArchitecture(5, (8, 8), 3, "silu", residual=True)
    architecture = replace(former, widths=(11, 11))
    networks = draw(former, 1, np.random.default_rng(1))
    [grown] = reshape(former, architecture, networks, describe(architecture), "taylor")
    X = np.random.default_rng(2).standard_normal((50, 5))
    np.testing.assert_allclose(
        Dense(architecture, grown).outputs(X), Dense(former, networks[0]).outputs(X), atol=1e-12
    )
    # Copies do not stay equal: what they put out differs.
    assert np.abs(grown.coefs[-1][0] - grown.coefs[-1][8]).min() > 1e-3


def test_random_numbers_come_from_the_seed_and_differ_by_member():
    former = DenseArchitecture(5, (4,), 3, "silu", residual=True)
    architecture = replace(former, widths=(8,))
    networks = draw(former, 1, np.random.default_rng(1)) * 2

    def grow(seed):
        return reshape(former, architecture, networks, describe(architecture, seed), "taylor")

    state = np.random.get_state()[1].copy()
    for one, two in zip(grow(0), grow(0), strict=True):
        np.testing.assert_array_equal(one.coefs[1], two.coefs[1])
    first, second = grow(0)
    assert (first.coefs[1] != second.coefs[1]).any()
    assert (first.coefs[1] != grow(1)[0].coefs[1]).any()
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_a_linear_model_passes_through_a_hidden_layer(activation, residual):
    former = DenseArchitecture(5, (), 3, activation, residual=residual)
    architecture = replace(former, widths=(9, 9) if residual else (9,))
    networks = draw(former, 1, np.random.default_rng(1))
    [grown] = reshape(former, architecture, networks, describe(architecture), "taylor")
    X = np.random.default_rng(2).standard_normal((50, 5))
    np.testing.assert_allclose(
        Dense(architecture, grown).outputs(X), Dense(former, networks[0]).outputs(X), atol=1e-12
    )


def test_of_units_without_effect_nothing_is_missed():
    former = DenseArchitecture(5, (8, 8), 3, "silu", residual=True)
    architecture = replace(former, widths=(5, 5))
    networks = draw(former, 1, np.random.default_rng(1))
    coefs = networks[0].coefs
    for idle in (1, 4, 6):
        coefs[1][idle], coefs[2][idle] = 0, 0
    [small] = reshape(former, architecture, networks, describe(former), "taylor")
    X = np.random.default_rng(2).standard_normal((50, 5))
    np.testing.assert_allclose(
        Dense(architecture, small).outputs(X), Dense(former, networks[0]).outputs(X), atol=1e-12
    )


@pytest.mark.parametrize("scale", [{"width": 40}, {"depth": 4}, {"width": 40, "depth": 3}])
@pytest.mark.parametrize("n_estimators", [1, 2])
def test_an_estimator_that_grows_predicts_the_same_until_it_learns(
    Estimator, small, scale, n_estimators
):
    X, y = small
    fitted = Estimator(width=12, n_estimators=n_estimators, **FAST).fit(X, y)
    before = predict(fitted, X)
    grown = at_rest(fitted, **scale).fit(X, y)
    assert grown.complexity_.widths == (scale.get("width", 12),) * scale.get("depth", 2)
    np.testing.assert_allclose(predict(grown, X), before, atol=1e-5 * max(1, np.ptp(before)))


def test_a_grown_network_learns_more_than_it_knew(Estimator, small):
    X, y = small
    settings = {"early_stopping": False, "warm_start": True, **FAST} | {"max_epochs": 12}
    network = Estimator(depth=1, width=4, **settings).fit(X, y)
    before = network.loss_curve_[-1]
    network.set_params(depth=2, width=32).fit(X, y)
    assert network.loss_curve_[-1] < before
    # Copies went ways of their own.
    assert np.abs(network.coefs_[0][:, :4] - network.coefs_[0][:, 4:8]).max() > 1e-3


def test_smaller_networks_are_pruned_and_trained_on(Estimator, small):
    X, y = small
    network = Estimator(depth=3, width=64, warm_start=True, **FAST | {"max_epochs": 15})
    network.fit(X, y)
    score = network.score(X, y)
    network.set_params(depth=2, width=32).fit(X, y)
    assert network.complexity_.widths == (32, 32)
    assert network.score(X, y) > score - 0.1


def test_sparse_rows_and_pipelines(digits):
    from scipy.sparse import csr_array

    X, y = csr_array(digits[0][:300]), digits[1][:300]
    fitted = ScaledMLPClassifier(width=12, **FAST).fit(X, y)
    grown = at_rest(fitted, width=24).fit(X, y)
    np.testing.assert_allclose(grown.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    assert at_rest(fitted, width=6).fit(X, y).complexity_.widths == (6, 6)
    pipeline = make_pipeline(StandardScaler(), clone(fitted)).fit(digits[0], digits[1])
    before = pipeline.predict_proba(digits[0])
    pipeline.set_params(**{f"scaledmlpclassifier__{k}": v for k, v in AT_REST.items()})
    pipeline.set_params(scaledmlpclassifier__width=24, scaledmlpclassifier__calibrate=False)
    after = pipeline.fit(digits[0], digits[1]).predict_proba(digits[0])
    np.testing.assert_allclose(after, before, atol=1e-5)


@pytest.mark.parametrize("kind", ["neurons", "weights"])
def test_a_pruned_network_grows_and_is_pruned_again(small, Estimator, kind):
    X, y = small
    pruning = Pruning(0.5, granularity=kind, finetune_epochs=2)
    network = Estimator(width=16, pruning=pruning, warm_start=True, **FAST).fit(X, y)
    network.set_params(width=32).fit(X, y)
    if kind == "neurons":
        assert sum(network.complexity_.widths) == 32
    else:
        n_gone = sum((c == 0).sum() for c in network.coefs_)
        assert abs(n_gone / sum(c.size for c in network.coefs_) - 0.5) < 0.01
    network.set_params(width=64, pruning__amount=0.0).fit(X, y)
    assert network.complexity_.widths == (64, 64)
    # (Pixels that are always black teach nothing.)
    assert all((c != 0).mean() > 0.95 for c in network.coefs_[1:])
    # What is fitted on is no longer thought of as pruned.
    assert network.fit(X, y).complexity_.widths == (64, 64)
    again = prune(network, X, y, amount=0.5)
    assert again.pruning == Pruning(0.5, granularity=kind, finetune_epochs=2)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (
            {"normalization": "layer"},
            {"width": 20},
            r"a multiple of 8, got 20.*train a new network",
        ),
        ({"residual": False}, {"depth": 3}, "added layer 2 must be residual"),
        ({"residual": False}, {"depth": 1}, "only residual layers .* can be removed"),
        (
            {"depth": None, "width": (8, 4)},
            {"width": (8, 8)},
            "layer 1 would gain its residual",
        ),
        (
            {"depth": None, "width": (8, 8)},
            {"width": (8, 4)},
            "layer 1 would lose its residual",
        ),
        ({"depth": 0}, {"depth": 1}, "at least 20 units, got"),
        (
            {"depth": 0, "activation": "tanh"},
            {"depth": 1},
            "cannot grow a hidden layer with activation",
        ),
        (
            {"depth": 0, "normalization": "layer"},
            {"depth": 1, "width": 64},
            "cannot grow a hidden layer with normalization",
        ),
    ],
)
def test_shapes_that_change_the_function_are_refused(digits, before, after, why):
    X, y = digits[0][:200], digits[1][:200]
    fitted = ScaledMLPClassifier(**{"width": 8} | before, **FAST).fit(X, y)
    coefs = fitted.coefs_
    with pytest.raises(ValueError, match=why):
        fitted.set_params(warm_start=True, **after).fit(X, y)
    assert fitted.coefs_ is coefs


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"width": 8}, {"width": 16}),
        ({"width": 8}, {"width": 24, "depth": 3}),
        ({"width": (8, 8)}, {"width": (16, 16), "depth": 2}),
        ({"width": (8, 16), "n_estimators": 2}, {"width": (8, 24)}),
    ],
)
@pytest.mark.parametrize("Estimator", [ScaledCNNClassifier, ScaledCNNRegressor])
def test_a_larger_convolutional_network_computes_the_same(Estimator, digits, before, after):
    X, y = digits[0][:120].reshape(-1, 8, 8), digits[1][:120]
    fitted = Estimator(augmentation=None, dropout=0, **before, **FAST).fit(X, y)
    expected = predict(fitted, X)
    grown = at_rest(fitted, **after).fit(X, y)
    assert grown.complexity_.n_parameters > fitted.complexity_.n_parameters
    np.testing.assert_allclose(predict(grown, X), expected, atol=1e-5)


def test_smaller_convolutional_networks_are_pruned(digits):
    X, y = digits[0][:400].reshape(-1, 8, 8), digits[1][:400]
    network = ScaledCNNClassifier(2, 16, warm_start=True, **FAST | {"max_epochs": 8}).fit(X, y)
    score = network.score(X, y)
    network.set_params(width=8, depth=1).fit(X, y)
    fresh = ScaledCNNClassifier(1, 8, **FAST).fit(X, y)
    assert network.complexity_.n_parameters == fresh.complexity_.n_parameters
    assert network.score(X, y) > score - 0.15


def test_channels_without_effect_are_those_that_go(digits):
    X, y = digits[0][:120].reshape(-1, 8, 8), digits[1][:120]
    fitted = ScaledCNNClassifier(
        1,
        16,
        augmentation=None,
        dropout=0,
        pruning=Pruning(0.0, importance="magnitude"),
        **FAST,
    ).fit(X, y)
    weights, _ = fitted.architecture_.parameter_names
    idle = np.arange(8, 16)  # one group of normalisation, and half of what is inside a block
    for name in ("blocks.0.convolve.weight", "blocks.0.shortcut.weight"):
        if name in weights:
            fitted.coefs_[weights.index(name)][:, idle] = 0
    fitted.coefs_[weights.index("blocks.1.convolve.weight")][:, idle] = 0
    fitted.coefs_[weights.index("blocks.1.shortcut.weight")][:, idle] = 0
    fitted.coefs_[weights.index("blocks.0.project.weight")][:, 16:] = 0
    expected = predict(fitted, X)
    smaller = at_rest(fitted, width=(8, 32)).fit(X, y)
    assert smaller.architecture_.stem_width == 8
    np.testing.assert_allclose(predict(smaller, X), expected, atol=1e-5)


def test_convolutional_shapes_that_change_the_function_are_refused(digits):
    X, y = digits[0][:120].reshape(-1, 8, 8), digits[1][:120]
    fitted = ScaledCNNClassifier(width=12, warm_start=True, **FAST).fit(X, y)
    with pytest.raises(ValueError, match="multiples of 8, got 12 and 24"):
        fitted.set_params(width=24).fit(X, y)
    with pytest.raises(ValueError, match="add or remove residual connections"):
        fitted.set_params(width=(24, 24)).fit(X, y)
    with pytest.raises(ValueError, match=r"Expected .*, got "):
        fitted.set_params(width=12, resolution=4).fit(X, y)
    with pytest.raises(ValueError, match=r"Expected .*, got "):
        fitted.set_params(width=(12, 24, 48), resolution=0).fit(X, y)


def test_a_module_of_the_users_own_does_not_grow(digits):
    X, y = digits[0][:100], digits[1][:100]

    class Layers(torch.nn.Sequential):
        def __init__(self, n_features, n_outputs, width):
            super().__init__(
                torch.nn.Linear(n_features, width), torch.nn.Linear(width, n_outputs)
            )

    fitted = ScaledNetworkClassifier(Layers, width=4, warm_start=True, **FAST).fit(X, y)
    with pytest.raises(ValueError, match=r"Expected arguments=.*width.: 4"):
        fitted.set_params(width=8).fit(X, y)
