import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    Pruning,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    diagnose,
    fit_compound_coefficients,
    scale_grid,
)
from skscale.scaling import compound_dropout, compound_scale, hidden_widths

PAPER = (1.2, 1.1, 1.15)


@pytest.mark.parametrize(
    ("depth", "width", "expected"),
    [
        (0, 7, ()),
        (1, 7, (7,)),
        (3, 7, (7, 7, 7)),
        (None, (5, 3), (5, 3)),
        (2, (5, 3), (5, 3)),
        (None, [4], (4,)),
        (None, (), ()),
    ],
)
def test_depth_and_width_resolve_to_one_width_a_hidden_layer(depth, width, expected):
    assert hidden_widths(depth, width) == expected


def test_a_depth_is_needed_with_a_single_width():
    with pytest.raises(ValueError, match=r"depth=None needs the width of each hidden layer"):
        hidden_widths(None, 8)


def test_depth_must_agree_with_a_tuple_of_widths():
    with pytest.raises(ValueError, match=r"describes 2 hidden layers, but depth=3"):
        hidden_widths(3, (8, 8))


def test_the_estimator_builds_the_widths_it_was_asked_for(digits):
    X, y = digits
    fitted = ScaledMLPClassifier(None, (9, 5), max_epochs=1, random_state=0).fit(X, y)
    assert [c.shape for c in fitted.coefs_] == [(64, 9), (9, 5), (5, 10)]


@pytest.mark.parametrize(
    ("scale", "phi", "expected"),
    [
        ((2, 64, 8), 0, ((64, 64), 8)),
        ((2, 64, 8), 1, ((70,) * 3, 9)),  # 2.4, 70.4, 9.2
        ((2, 64, 8), 2, ((77,) * 3, 11)),  # 2.88, 77.44, 10.58
        ((2, 64, 8), -1, ((58,) * 2, 7)),  # 1.67, 58.18, 6.96
        ((2, 64, 8), 0.5, ((67,) * 3, 9)),  # 2.19, 67.12, 8.58
        ((3, 1, 1), -20, ((1,), 1)),  # nothing vanishes
        ((0, 64, 0), 3, ((), 0)),  # a linear model stays one
        ((None, (64, 16), 0), 1, ((70, 70, 18), 0)),
        ((None, (64, 32, 16), 0), -3, ((48, 24), 0)),  # 1.74
    ],
)
def test_phi_scales_all_three(scale, phi, expected):
    assert compound_scale(*scale, phi, PAPER) == expected


@pytest.mark.parametrize("coefficients", [(1.2, 0.5, 1.15), (1.2, 1.1), (1, 1, np.inf), "abc"])
def test_coefficients_are_three_numbers_of_at_least_one(coefficients):
    network = ScaledMLPClassifier(phi_coefficients=coefficients)
    with pytest.raises(ValueError, match="phi_coefficients"):
        network.fit([[0.0], [1.0]], [0, 1])


def test_the_coefficients_are_those_given():
    assert compound_scale(2, 10, 10, 1, (1.5, 1.0, 1.0)) == ((10, 10, 10), 10)
    assert compound_scale(2, 10, 10, 1, (1.0, 1.5, 2.0)) == ((15, 15), 20)
    # Three layers, not four for the last bit of a product.
    for layers in range(1, 40):
        assert len(compound_scale(10, 1, 0, 1, (1 + layers / 10, 1.0, 1.0))[0]) == 10 + layers
    with pytest.raises(
        ValueError, match=r"phi=1000 with the coefficient 1.2 of the depth makes more than"
    ):
        compound_scale(2, 64, 0, 1000, PAPER)
    with pytest.raises(ValueError, match=r"phi=1e\+300 with the coefficient .* of the width"):
        compound_scale(1, 64, 1, 1e300, (1.0, 1.1, 1.0))
    assert compound_scale(0, 64, 0, 1e300, PAPER) == ((), 0)


def test_dropout_rises_as_in_the_paper():
    # 0.2 at B0, 0.5 at B7; and never where there is none.
    assert [compound_dropout(0.2, phi) for phi in (0, 5, 7.5, 9)] == [0.2, 0.4, 0.5, 0.5]
    assert compound_dropout(0.2, -9) == 0
    assert compound_dropout(0.9, 0) == 0.9
    assert compound_dropout(0.0, 7) == 0


@pytest.mark.parametrize("Estimator", [ScaledMLPClassifier, ScaledMLPRegressor])
def test_phi_is_a_hyperparameter_of_a_fused_search(Estimator, digits):
    X, y = digits[0][:200], digits[1][:200]
    model = Estimator(2, 16, resolution=2, dropout=0.2, max_epochs=2, random_state=0)
    grid = {"phi": [-2, -1, 0, 1, 2, 3]}
    with joblib.parallel_config(backend="skscale"):
        search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["phi"] in grid["phi"]
    for phi, depth, width, resolution, dropout in [
        (-2, 2, 13, 2, 0.12),
        (0, 2, 16, 2, 0.2),
        (3, 4, 21, 3, 0.32),
    ]:
        fitted = clone(model).set_params(phi=phi).fit(X, y)
        assert (fitted.depth_, fitted.width_, fitted.resolution_) == (depth, width, resolution)
        assert fitted.dropout_ == pytest.approx(dropout)
        assert fitted.complexity_.widths == (width,) * depth
        # The same as if it had been asked for.
        asked = clone(model).set_params(depth=depth, width=width, resolution=resolution)
        asked.set_params(dropout=fitted.dropout_, phi_coefficients=(2.0, 1.1, 1.15)).fit(X, y)
        np.testing.assert_array_equal(fitted.predict(X), asked.predict(X))


def test_a_tuple_of_widths_and_pruning_under_phi(digits):
    X, y = digits[0][:200], digits[1][:200]
    fitted = ScaledMLPClassifier(
        None,
        (16, 8),
        phi=1,
        max_epochs=2,
        pruning=Pruning(0.5, finetune_epochs=2),
        random_state=0,
    ).fit(X, y)
    assert (fitted.depth_, fitted.width_) == (3, (18, 18, 9))
    assert sum(fitted.complexity_.widths) < 45
    # A warm start goes on with what is left.
    fitted.set_params(warm_start=True).fit(X, y)
    fitted.partial_fit(X, y)
    # Of more phi it grows again.
    fitted.set_params(phi=2, pruning=0).fit(X, y)
    assert fitted.complexity_.widths == fitted.width_


def test_tools_that_scale_one_dimension_take_phi_in(digits):
    X, y = digits[0][:300], digits[1][:300]
    model = ScaledMLPClassifier(1, 8, phi=2, phi_coefficients=(1.5, 1.1, 1.15), max_epochs=3)
    assert all(part["phi"] == [0] for part in scale_grid(model, X, y, n_candidates=5))
    found = diagnose(model, X, y, cv=2)
    asked = diagnose(ScaledMLPClassifier(3, 10, max_epochs=3), X, y, cv=2)
    assert found.trials == asked.trials


@pytest.mark.parametrize("in_pipeline", [False, True])
def test_compound_coefficients_are_those_of_the_best_of_twice_the_cost(digits, in_pipeline):
    X, y = digits[0][:400], digits[1][:400]
    model = ScaledMLPClassifier(1, 8, resolution=2, max_epochs=4, phi=3)
    prefix = ""
    if in_pipeline:
        model, prefix = make_pipeline(StandardScaler(), model), "scaledmlpclassifier__"
    found = fit_compound_coefficients(model, X, y, cv=2)
    table = found.table
    assert len(set(table["depth"])) > 1
    assert len(set(table["resolution"])) > 1
    near = np.abs(table["macs_ratio"] / 2 - 1) <= 0.1
    assert near.sum() > 3
    best = np.flatnonzero(near)[table["score"][near].argmax()]
    assert found.depth == table["phi_depth"][best]
    # What it says of a network is what is built and measured.
    built = clone(model).set_params(**found.params).set_params(**{f"{prefix}phi": 1}).fit(X, y)
    built = built[-1] if in_pipeline else built
    assert (built.depth_, built.width_, built.resolution_) == tuple(
        table[name][best] for name in ("depth", "width", "resolution")
    )
    base = ScaledMLPClassifier(1, 8, resolution=2, max_epochs=1).fit(X, y)
    ratio = built.complexity_.n_macs / base.complexity_.n_macs
    assert ratio == pytest.approx(2, rel=0.15)  # columns of folds differ a little
    shown = str(found)
    assert f", {found.width:g}, " in shown.splitlines()[0]
    assert len(shown.splitlines()) == 3 + len(table["phi"])


def test_a_linear_network_has_no_compound_coefficients(digits):
    with pytest.raises(ValueError, match="scaled to twice its multiply-accumulates"):
        fit_compound_coefficients(ScaledMLPClassifier(0), *digits)


def test_groups_and_fit_parameters_reach_the_folds_and_the_fits():
    from sklearn.model_selection import GroupKFold

    X, y = make_classification(200, random_state=0)
    groups = np.repeat(np.arange(10), 20)
    weights = np.random.default_rng(0).uniform(0.1, 3, len(y))
    network = ScaledMLPClassifier(
        depth=1, width=8, max_epochs=3, precision="float64", random_state=0
    )
    options = {"groups": groups, "params": {"sample_weight": weights}}
    found = fit_compound_coefficients(network, X, y, cv=GroupKFold(2), **options)
    expected = [
        network.fit(X[a], y[a], sample_weight=weights[a]).score(X[b], y[b], weights[b])
        for a, b in GroupKFold(2).split(X, y, groups)
    ]
    assert found.table["score"][0] == pytest.approx(np.mean(expected))
