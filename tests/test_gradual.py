"""The gradual search: from rung to rung, grown, and no further than its rule."""

import contextlib
import copy
import pickle

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from skscale import (
    BestUnder,
    GradualScaleSearchCV,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    SmallestWithin,
    compare,
    cost_scoring,
    select,
)
from skscale.fusion import last_fused_run
from tests.test_network import Dense

FAST = {"max_epochs": 4, "random_state": 0, "batch_size": 32}
WIDTHS = {"width": [2, 4, 8, 16]}


# For tests of other subjects than the doubts of the rule about its choice.
AT_AN_EDGE = pytest.mark.filterwarnings("ignore:SmallestWithin.* chose the:UserWarning")


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


def climb(estimator, scales, X, y):
    """What a search should come to, done by hand."""
    for rung in scales:
        estimator.set_params(**rung, warm_start=True).fit(X, y)
    return estimator.set_params(warm_start=False)


def network(**settings):
    return ScaledMLPClassifier(depth=1, **FAST | settings)


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_each_rung_is_grown_from_the_one_before(iris, n_jobs):
    X, y = iris
    # In float64 with full batches stacks and lone fits agree.
    settings = {"precision": "float64", "batch_size": 200, "early_stopping": False}
    model = network(**settings)
    folds = KFold(2, shuffle=True, random_state=0)
    search = GradualScaleSearchCV(
        model, WIDTHS, shrink_factor=1, cv=folds, refit=True, patience=4, n_jobs=n_jobs
    ).fit(X, y)
    scales = [{"width": w} for w in WIDTHS["width"]]
    assert search.scales_ == scales
    assert search.cv_results_["params"] == scales
    np.testing.assert_array_equal(search.cv_results_["param_width"], WIDTHS["width"])
    for fold, (train, test) in enumerate(folds.split(X)):
        grown = clone(model)
        for rung in range(4):
            climb(grown, scales[rung : rung + 1], X[train], y[train])
            found = search.cv_results_[f"split{fold}_test_score"][rung]
            assert found == pytest.approx(grown.score(X[test], y[test]))
    best = clone(model).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_allclose(search.predict_proba(X), best.predict_proba(X), rtol=1e-7)
    assert search.best_estimator_.warm_start is False
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()


class Scores:
    """A scoring that says what the test wants of each width."""

    def __init__(self, by_width):
        self.by_width = by_width

    def __call__(self, estimator, X, y):
        value = self.by_width[estimator.width]
        # Folds differ by what the rows are.
        return {"score": value + 1e-3 * X[0, 0], "n_parameters": estimator.width}


@pytest.mark.parametrize(
    ("scores", "patience", "n_rungs", "best", "edge"),
    [
        ({2: 0.5, 4: 0.7, 8: 0.8, 16: 0.9}, 1, 4, 16, "largest"),
        ({2: 0.5, 4: 0.7, 8: 0.7, 16: 0.9}, 1, 3, 4, None),
        ({2: 0.5, 4: 0.7, 8: 0.7, 16: 0.9}, 2, 4, 16, "largest"),
        ({2: 0.5, 4: 0.4, 8: 0.3, 16: 0.9}, 2, 3, 2, "smallest"),
    ],
)
def test_the_climb_ends_when_the_rule_passes_rungs_over(
    iris, scores, patience, n_rungs, best, edge
):
    search = GradualScaleSearchCV(
        network(max_epochs=1), WIDTHS, scoring=Scores(scores), patience=patience, cv=3
    )
    caveat = contextlib.nullcontext()
    if edge is not None:
        caveat = pytest.warns(UserWarning, match=f"chose the {edge} candidate")
    with caveat:
        search.fit(*iris)
    assert len(search.cv_results_["params"]) == n_rungs
    assert search.best_params_ == {"width": best}
    assert search.best_estimator_.width == best
    assert search.best_score_ == search.cv_results_["mean_test_score"][search.best_index_]


def test_only_the_final_choice_is_doubted(iris):
    """The newest scale is always the largest so far."""
    scores = {2: 0.5, 4: 0.7, 8: 0.8, 16: 0.8}
    model = network(max_epochs=1)
    search = GradualScaleSearchCV(model, WIDTHS, scoring=Scores(scores), patience=1, cv=3)
    search.fit(*iris)  # a warning is an error
    assert search.best_params_ == {"width": 8}


@AT_AN_EDGE
def test_costs_and_rules_and_the_surface_of_scikit_learns_searches(iris):
    X, y = iris
    search = GradualScaleSearchCV(network(max_epochs=15), WIDTHS, cv=3).fit(X, y)
    results = search.cv_results_
    plain = GridSearchCV(
        network(max_epochs=15), WIDTHS, scoring=cost_scoring(costs=["n_parameters"]),
        refit=SmallestWithin(), cv=3,
    ).fit(X, y)  # fmt: skip
    known = {name for name in plain.cv_results_ if "n_train_rows" not in name}
    assert known <= set(results) <= set(plain.cv_results_)
    assert {name for name in vars(search) if name.endswith("_")} == {
        name for name in vars(plain) if name.endswith("_")
    } | {"scales_"}
    n = len(results["params"])
    np.testing.assert_array_equal(
        results["mean_test_n_parameters"], [w * 5 + (w + 1) * 3 for w in WIDTHS["width"][:n]]
    )
    assert search.best_index_ == SmallestWithin()(results)
    assert select(search, SmallestWithin(score_loss=1)).params == {"width": 2}
    assert search.score(X, y) == search.best_estimator_.score(X, y)
    assert list(search.classes_) == list(np.unique(y))
    assert search.n_features_in_ == 4
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(search)).predict(X), search.predict(X)
    )
    assert search.refit_time_ > 0
    rule = BestUnder(n_parameters=30)
    assert clone(search).set_params(refit=rule).fit(X, y).best_params_["width"] == 2


def test_the_numbers_of_rows_are_those_of_the_splits(iris):
    splits = ShuffleSplit(3, test_size=0.2, random_state=0)
    search = GradualScaleSearchCV(network(), {"width": [2, 4]}, cv=splits).fit(*iris)
    found = compare(search)
    np.testing.assert_array_equal(found.n_test_rows, [30] * 3)
    np.testing.assert_array_equal(found.n_train_rows, [120] * 3)
    assert found.overlap == 0.25


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_a_score_that_is_undefined_in_one_fold_is_nan_there(iris):
    X, y = iris

    def strict(estimator, X, y):
        if "setosa" not in y:
            raise ValueError("no setosa")
        return float((estimator.predict(X) == y).mean())

    splits = [(np.arange(150), rows) for rows in (np.arange(0, 150, 2), np.arange(50, 150))]
    search = GradualScaleSearchCV(
        network(), {"width": [2, 4]}, scoring=cost_scoring(strict), refit=False, cv=splits
    )
    results = search.fit(X, y).cv_results_
    assert np.isnan(results["split1_test_score"]).all()
    assert (results["split0_test_score"] > 0).all()


def test_the_networks_of_a_rung_train_together(iris):
    GradualScaleSearchCV(network(), {"width": [2, 4]}, cv=KFold(5), refit=False).fit(*iris)
    run = last_fused_run()
    assert run.n_fits == 5
    assert sum(run.stack_sizes) == 5


@AT_AN_EDGE
def test_several_scores_and_none_to_choose_by(iris):
    X, y = iris
    search = GradualScaleSearchCV(
        network(), WIDTHS, scoring=["accuracy", "neg_log_loss"], refit="accuracy", cv=3
    ).fit(X, y)
    assert "mean_test_neg_log_loss" in search.cv_results_
    assert search.score(X, y) == np.mean(search.predict(X) == y)
    blind = GradualScaleSearchCV(network(), WIDTHS, refit=False, cv=3).fit(X, y)
    assert not hasattr(blind, "best_estimator_")
    assert len(blind.cv_results_["params"]) >= 3
    made = GradualScaleSearchCV(
        network(), WIDTHS, scoring=make_scorer(lambda y, p: np.mean(y == p)), cv=3
    ).fit(X, y)
    assert made.best_params_["width"] in WIDTHS["width"]


@AT_AN_EDGE
def test_pipelines_ladders_of_many_parameters_and_of_none(digits):
    X, y = digits[0][:400], digits[1][:400]
    pipeline = make_pipeline(StandardScaler(), ScaledMLPClassifier(**FAST))
    prefix = "scaledmlpclassifier__"
    scales = {f"{prefix}depth": [1, 2, 2], f"{prefix}width": [8, 8, 16]}
    search = GradualScaleSearchCV(pipeline, scales, cv=2, refit=True, patience=3).fit(X, y)
    assert search.scales_[1] == {f"{prefix}depth": 2, f"{prefix}width": 8}
    widths = search.best_estimator_[-1].complexity_.widths
    assert widths == [(8,), (8, 8), (16, 16)][search.best_index_]
    own = GradualScaleSearchCV(pipeline, cv=2, patience=1).fit(X, y)
    # About 30 parameters a row: 64 units have 9,500.
    assert own.scales_ == [{f"{prefix}width": w} for w in (8, 16, 32, 64)]
    regressor = ScaledMLPRegressor(depth=1, **FAST)
    own = GradualScaleSearchCV(regressor, cv=3).fit(*load_diabetes(return_X_y=True))
    assert own.scales_[-1] == {"width": 1024}


def test_images_grow(digits):
    X, y = digits[0][:200].reshape(-1, 8, 8), digits[1][:200]
    model = ScaledCNNClassifier(width=8, **FAST | {"max_epochs": 2})
    search = GradualScaleSearchCV(model, cv=2, refit=True, patience=1).fit(X, y)
    assert search.scales_ == [{"width": w} for w in (8, 16, 32)]


def test_networks_that_cannot_grow_are_trained_from_the_start(iris, digits):
    X, y = iris
    module = ScaledNetworkClassifier(Dense, width=2, **FAST)
    search = GradualScaleSearchCV(module, {"width": [2, 4]}, cv=2, refit=True, patience=2)
    search.fit(X, y)
    best = clone(module).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_allclose(search.predict_proba(X), best.predict_proba(X), atol=1e-6)
    target = TransformedTargetRegressor(ScaledMLPRegressor(depth=1, **FAST))
    search = GradualScaleSearchCV(target, {"regressor__width": [2, 4]}, cv=2, refit=True)
    search.fit(*load_diabetes(return_X_y=True))
    assert search.best_estimator_.regressor_.coefs_[0].shape[1] in (2, 4)


def test_weights_and_routing_reach_the_networks(iris):
    X, y = iris
    weights = np.where(y == "setosa", 0.0, 1.0)
    search = GradualScaleSearchCV(network(max_epochs=20), {"width": [4, 8]}, cv=3)
    search.fit(X, y, sample_weight=weights)
    assert not (search.predict(X[:50]) == "setosa").any()
    with sklearn.config_context(enable_metadata_routing=True):
        asked = network(max_epochs=20).set_fit_request(sample_weight=True)
        asked.set_score_request(sample_weight=True)
        routed = GradualScaleSearchCV(asked, {"width": [4, 8]}, cv=3)
        routed.fit(X, y, sample_weight=weights)
        assert not (routed.predict(X[:50]) == "setosa").any()
        with pytest.raises(Exception, match="sample_weight"):
            GradualScaleSearchCV(network(), {"width": [4, 8]}).fit(X, y, sample_weight=weights)


def test_inside_other_searches_also_fused(iris):
    X, y = iris
    search = GradualScaleSearchCV(network(), {"width": [2, 4]}, cv=2)
    plain = cross_val_score(search, X, y, cv=2)
    with joblib.parallel_config(backend="skscale"):
        fused = cross_val_score(search, X, y, cv=2)
    np.testing.assert_allclose(fused, plain, atol=0.05)


def test_an_unreachable_scale_raises_an_error(iris):
    model = network(normalization="layer")
    scales = {"width": [4, 6, 8]}  # from 4 to 6 nothing grows that is normalised
    with pytest.raises(ValueError, match="a width that is a multiple of 4"):
        GradualScaleSearchCV(model, scales, cv=2).fit(*iris)


@pytest.mark.parametrize("n_estimators", [1, 2])
def test_shrink_factor_0_equals_new_training_and_1_continued_training(digits, n_estimators):
    X, y = digits[0][:300], digits[1][:300]
    model = ScaledMLPClassifier(
        depth=1, n_estimators=n_estimators, early_stopping=False, **FAST | {"max_epochs": 1}
    )

    def score(estimator, X, y):
        return {"score": estimator.width, "first_loss": estimator.loss_curve_[0]}

    def first_losses(shrink_factor):
        scales = {"width": [16, 32]}
        search = GradualScaleSearchCV(
            model, scales, shrink_factor=shrink_factor, cv=2, refit="score", scoring=score
        ).fit(X, y)
        return search.cv_results_["mean_test_first_loss"][1]

    anew = clone(model).set_params(width=32).fit(X[::2], y[::2]).loss_curve_[0]
    assert first_losses(1) < first_losses(0.5) < first_losses(0)
    assert first_losses(0) == pytest.approx(anew, rel=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": []}, "got an empty list of scales"),
        ({"scales": {"width": [2], "depth": [1, 2]}}, "lists of one length"),
        ({"shrink_factor": 1.5}, "shrink_factor must be a float from 0 to 1, got 1.5"),
        ({"patience": 0}, "patience must be an int of at least 1, got 0"),
        ({"scales": {"breadth": [2]}}, "Invalid parameter 'breadth'"),
        ({"scales": [8, 16], "error_score": 0}, r'by name in scales, got 8.*{"width": '),
        ({"scales": [{"widht": 2}], "error_score": 0}, "Invalid parameter 'widht'"),
    ],
)
def test_invalid_options_raise_an_error(iris, options, message):
    search = GradualScaleSearchCV(network(), scales=WIDTHS, error_score="raise")
    with pytest.raises(ValueError, match=message):
        search.set_params(**options).fit(*iris)


def test_searches_without_a_network_or_a_known_scales_are_refused(iris):
    with pytest.raises(TypeError, match="an estimator of skscale"):
        GradualScaleSearchCV(LogisticRegression(), {"C": [1, 2]}).fit(*iris)
    with pytest.raises(ValueError, match="has no default scales"):
        GradualScaleSearchCV(ScaledNetworkClassifier(Dense)).fit(*iris)


@AT_AN_EDGE
def test_the_fitted_scales_are_not_stored(iris):
    search = GradualScaleSearchCV(network(), WIDTHS, cv=2).fit(*iris)
    before = len(pickle.dumps(copy.deepcopy(search)))
    assert len(pickle.dumps(search.best_estimator_)) < before < 30_000


# scikit-learn's own `type_of_target`, of a target that holds infinity.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_check_estimator_passes():
    search = GradualScaleSearchCV(
        ScaledMLPClassifier(depth=1, max_epochs=20, precision="float64", batch_size=10_000,
                            early_stopping=False, learning_rate=0.03, lr_schedule="constant",
                            random_state=0),
        {"width": [8, 16]}, cv=2, error_score="raise",
    )  # fmt: skip
    check_estimator(search, on_skip=None)
