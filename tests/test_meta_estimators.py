"""scikit-learn's meta-estimators over ours."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skscale
from skscale import ScaledMLPClassifier, ScaledMLPRegressor

FAST = {"width": 16, "max_epochs": 8, "random_state": 0}


@pytest.fixture
def classifier():
    return ScaledMLPClassifier(**FAST)


@pytest.fixture
def regressor():
    return ScaledMLPRegressor(**FAST)


def test_a_grid_search_over_scale_in_a_pipeline(digits, classifier):
    X, y = digits[0][:600], digits[1][:600]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier),
        {
            "scaledmlpclassifier__depth": [0, 2],
            "scaledmlpclassifier__width": [4, 32],
            "scaledmlpclassifier__dropout": [0.0, 0.1],
        },
        cv=3,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.85
    by_width = {
        (p["scaledmlpclassifier__depth"], p["scaledmlpclassifier__width"]): s
        for p, s in zip(
            search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
        )
    }
    assert by_width[2, 32] > by_width[2, 4] + 0.1
    assert skscale.complexity(search) == search.best_estimator_[-1].complexity_


def test_a_diverged_candidate_does_not_win_a_search(digits, classifier):
    X, y = digits[0][:300], digits[1][:300]
    search = GridSearchCV(classifier, {"learning_rate": [0.01, 1e30]}, cv=3)
    with pytest.warns(sklearn.exceptions.FitFailedWarning, match="Training diverged"):  # noqa: SIM117
        with pytest.warns(UserWarning, match="non-finite"):
            search.fit(X, y)
    assert search.best_params_ == {"learning_rate": 0.01}
    assert np.isnan(search.cv_results_["mean_test_score"][1])


def test_a_search_gives_one_result_in_processes_threads_and_alone(digits, classifier):
    X, y = digits[0][:300], digits[1][:300]
    import joblib

    scores = []
    for backend in ("sequential", "threading", "loky"):
        with joblib.parallel_config(backend=backend):
            search = GridSearchCV(classifier, {"width": [8, 16]}, cv=3, n_jobs=2).fit(X, y)
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(scores[0], scores[2])


def test_a_randomized_search(diabetes, regressor):
    search = RandomizedSearchCV(
        make_pipeline(StandardScaler(), regressor),
        {"scaledmlpregressor__width": range(4, 64), "scaledmlpregressor__l1": [0, 1e-3]},
        n_iter=4,
        cv=3,
        random_state=0,
        error_score="raise",
    ).fit(*diabetes)
    assert search.best_score_ > 0.2


@pytest.mark.parametrize("resource", ["n_samples", "max_epochs"])
def test_a_halving_search_by_rows_and_by_epochs(digits, classifier, resource):
    X, y = digits[0][:600], digits[1][:600]
    search = HalvingGridSearchCV(
        clone(classifier).set_params(early_stopping=False),
        {"width": [4, 16, 32]},
        resource=resource,
        max_resources=12 if resource == "max_epochs" else "auto",
        min_resources=4 if resource == "max_epochs" else 100,
        cv=3,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ > 0.5
    if resource == "max_epochs":
        assert search.best_estimator_.n_iter_ == 12


def test_cross_validation_and_its_predictions(digits, diabetes, classifier, regressor):
    assert cross_val_score(classifier, *digits, cv=3).mean() > 0.85
    proba = cross_val_predict(classifier, *digits, cv=3, method="predict_proba")
    assert np.mean(proba.argmax(1) == digits[1]) > 0.85
    X = StandardScaler().fit_transform(diabetes[0])
    predicted = cross_val_predict(regressor, X, diabetes[1], cv=3)
    assert np.corrcoef(predicted, diabetes[1])[0, 1] > 0.5


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: CalibratedClassifierCV(e, cv=2),
        lambda e: BaggingClassifier(e, n_estimators=3, random_state=0),
        lambda e: StackingClassifier([("net", e)], LogisticRegression(max_iter=1000), cv=2),
        lambda e: VotingClassifier([("a", e), ("b", clone(e))], voting="soft"),
        OneVsRestClassifier,
        OneVsOneClassifier,
    ],
    ids=["calibrated", "bagging", "stacking", "voting", "one-vs-rest", "one-vs-one"],
)
def test_meta_classifiers(digits, classifier, wrap):
    X, y = digits[0][:800], digits[1][:800]
    fitted = wrap(classifier).fit(X, y)
    assert fitted.score(digits[0][800:], digits[1][800:]) > 0.8


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: BaggingRegressor(e, n_estimators=3, random_state=0),
        lambda e: StackingRegressor([("net", e)], Ridge(), cv=2),
        lambda e: TransformedTargetRegressor(e, func=np.log, inverse_func=np.exp),
    ],
    ids=["bagging", "stacking", "transformed-target"],
)
def test_meta_regressors(diabetes, regressor, wrap):
    X, y = StandardScaler().fit_transform(diabetes[0]), diabetes[1]
    fitted = wrap(clone(regressor).set_params(max_epochs=40)).fit(X[:300], y[:300])
    assert fitted.score(X[300:], y[300:]) > 0.3


def test_meta_estimators_of_several_outputs(digits, diabetes, classifier, regressor):
    X, y = digits[0][:500], digits[1][:500]
    both = np.column_stack([y % 2, y % 3])
    assert MultiOutputClassifier(classifier).fit(X, both).predict(X).shape == (500, 2)
    chain = ClassifierChain(classifier).fit(X, np.column_stack([y % 2, y > 4]).astype(int))
    assert np.mean(chain.predict(X)[:, 0] == y % 2) > 0.9
    X, y = diabetes
    fitted = MultiOutputRegressor(regressor).fit(X, np.column_stack([y, -y]))
    assert fitted.predict(X).shape == (len(X), 2)


def test_a_column_transformer_before_the_network_and_set_output(classifier):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": rng.standard_normal(400), "kind": rng.choice(["a", "b"], 400)}
    )
    y = np.where((frame["size"] > 0) ^ (frame["kind"] == "a"), "yes", "no")
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["size"]),
            ("categories", OneHotEncoder(sparse_output=False), ["kind"]),
        ]
    )
    model = make_pipeline(columns, clone(classifier).set_params(max_epochs=50))
    model.set_output(transform="pandas")
    assert model.fit(frame, y).score(frame, y) > 0.9
    np.testing.assert_array_equal(
        model[-1].feature_names_in_,
        ["numbers__size", "categories__kind_a", "categories__kind_b"],
    )


def test_metadata_is_routed_when_asked_for(digits, classifier):
    X, y = digits[0][:300], digits[1][:300]
    weights = (y != 3).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        asks = clone(classifier).set_fit_request(sample_weight=True)
        asks.set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        results = cross_validate(
            make_pipeline(scaler, asks), X, y, cv=2,
            params={"sample_weight": weights}, return_estimator=True, error_score="raise",
        )  # fmt: skip
        for model in results["estimator"]:
            assert (model.predict(X) == 3).mean() < 0.03
        with pytest.raises(sklearn.exceptions.UnsetMetadataPassedError):
            cross_validate(classifier, X, y, cv=2, params={"sample_weight": weights})


def test_metadata_passes_without_routing(digits, classifier):
    X, y = digits[0][:300], digits[1][:300]
    model = make_pipeline(StandardScaler(), classifier)
    model.fit(X, y, scaledmlpclassifier__sample_weight=(y != 3).astype(float))
    assert (model.predict(X) == 3).mean() < 0.03
