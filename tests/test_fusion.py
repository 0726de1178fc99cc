"""Searches under the backend "skscale": the same results, and failures that stay where
they belong. A watchdog ends the process if anything hangs."""

import faulthandler
import itertools
import os
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.exceptions import FitFailedWarning
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, SmallestWithin, cost_scoring
from skscale.fusion import last_fused_run
from skscale.fusion import rendezvous as fusion
from skscale.fusion.backend import FusedBackend
from skscale.training.task import TimeBudgetError

pytestmark = pytest.mark.usefixtures("two_threads")
FAST = {
    "width": 8,
    "max_epochs": 6,
    "learning_rate": 0.02,
    "precision": "float64",
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def watchdog():
    """End the process, with all stacks, if a test takes too long."""
    faulthandler.dump_traceback_later(240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 5

    def left():
        # scikit-learn's progress bar never ends the thread that listens for it.
        threads = set(threading.enumerate()) - before
        return {thread for thread in threads if "_accept" not in thread.name}

    while left() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left()


def fused(**settings):
    return joblib.parallel_config(backend="skscale", **settings)


@pytest.fixture
def data(digits):
    return digits[0][:300].astype(float), digits[1][:300]


class CountingScorer:
    """Accuracy and epochs, so that cv_results_ shows both."""

    def __call__(self, estimator, X, y):
        network = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        return {"score": estimator.score(X, y), "n_iter": network.n_iter_}


def results_of(search):
    return {
        key: values
        for key, values in search.cv_results_.items()
        if "time" not in key and "param" not in key
    }


# Those that the rest adds little to are slow.
_QUICK = {("digits", "float64", 2), ("digits", "float32", 1)}


@pytest.mark.parametrize(
    ("dataset", "precision", "n_threads"),
    [
        pytest.param(*case, marks=[] if case in _QUICK else pytest.mark.slow)
        for case in itertools.product(["digits", "wide"], ["float64", "float32"], [1, 2])
    ],
)
def test_a_fused_search_has_the_results_of_a_plain_one(digits, dataset, precision, n_threads):
    if dataset == "digits":
        X, y = digits[0][:400], digits[1][:400]
    else:
        X, y = make_classification(
            300, n_features=520, n_informative=30, n_classes=3, random_state=0
        )
    network = ScaledMLPClassifier(
        max_epochs=9, n_iter_no_change=2, tol=1e-2, precision=precision, random_state=0
    )
    grid = {
        "scaledmlpclassifier__depth": [1, 2],
        "scaledmlpclassifier__width": [8, 16, 32],
        "scaledmlpclassifier__dropout": [0.1, 0.3],
        "scaledmlpclassifier__learning_rate": [0.002, 0.03],
    }
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network), grid, cv=5, scoring=CountingScorer(),
        refit="score", error_score="raise",
    )  # fmt: skip
    former = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        plain = clone(search).fit(X, y)
        with fused():
            together = clone(search).fit(X, y)
            run = last_fused_run()
            models = cross_validate(
                search.estimator, X, y, cv=5, return_estimator=True, error_score="raise"
            )["estimator"]
    finally:
        torch.set_num_threads(former)
    assert run.n_fits == 24 * 5
    assert np.mean(run.stack_sizes) >= 10
    assert run.n_gathered == [120]
    n_test = len(y) / 5
    n_iter = plain.cv_results_["mean_test_n_iter"]
    assert n_iter.min() < 9  # early stopping stops some, at different epochs
    assert len(set(n_iter)) > 5
    for key, values in results_of(plain).items():
        if precision == "float64":
            np.testing.assert_array_equal(together.cv_results_[key], values, err_msg=key)
        elif key.startswith("split") and key.endswith("score"):
            off = np.abs(together.cv_results_[key] - values)
            assert off.max() <= 2 / n_test + 1e-12, key
    alone = cross_validate(search.estimator, X, y, cv=5, return_estimator=True)["estimator"]
    for one, other in zip(models, alone, strict=True):
        tolerance = {"rtol": 1e-9, "atol": 1e-12}
        if precision == "float32":
            tolerance = {"rtol": 1e-3, "atol": 1e-4}
        assert one[-1].n_iter_ == other[-1].n_iter_
        for a, b in zip(one[-1].coefs_, other[-1].coefs_, strict=True):
            np.testing.assert_allclose(a, b, **tolerance)


def test_a_float32_step_of_a_stack_is_that_of_a_lone_network(digits):
    X, y = digits[0][:320], digits[1][:320]
    network = ScaledMLPClassifier(
        width=32, dropout=0.2, batch_size=512, max_epochs=1, early_stopping=False,
        random_state=0,
    )  # fmt: skip
    grid = {"learning_rate": [0.001, 0.1], "weight_decay": [0.0, 0.1], "l1": [0.0, 0.01]}
    for params in list(joblib_grid(grid)):
        network.set_params(**params)
        alone = cross_validate(network, X, y, cv=4, return_estimator=True)["estimator"]
        with fused():
            stacked = cross_validate(network, X, y, cv=4, return_estimator=True)["estimator"]
        for one, other in zip(stacked, alone, strict=True):
            for a, b in zip(one.coefs_, other.coefs_, strict=True):
                assert np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(b)


def joblib_grid(grid):
    from sklearn.model_selection import ParameterGrid

    return ParameterGrid(grid)


def _scores(estimator, X, y):
    return estimator.fit(X, y).predict(X)


def _predict_proba(estimator, X, y):
    return estimator.fit(X, y).predict_proba(X)


def _search(estimator, X, y):
    fitted = estimator.fit(X, y)
    return [*results_of(fitted).values(), fitted.predict(X)]


NET, REG = ScaledMLPClassifier(**FAST), ScaledMLPRegressor(**FAST)
GRID = {"width": [4, 8], "dropout": [0.0, 0.2]}
META = {
    "grid": (GridSearchCV(NET, GRID, cv=3), _search),
    "randomized": (
        RandomizedSearchCV(NET, {"l1": [0, 1e-3, 1e-2]}, n_iter=3, cv=3, random_state=0),
        _search,
    ),
    "halving": (
        HalvingGridSearchCV(NET, GRID, cv=3, random_state=0, min_resources=60), _search,
    ),
    "halving-epochs": (
        HalvingGridSearchCV(
            NET, GRID, cv=3, random_state=0, resource="max_epochs", max_resources=6,
            min_resources=2,
        ),
        _search,
    ),
    "halving-random": (
        HalvingRandomSearchCV(
            NET, GRID, cv=3, random_state=0, min_resources=60, n_candidates=3
        ),
        _search,
    ),
    "pipeline": (GridSearchCV(make_pipeline(StandardScaler(), NET),
                 {"scaledmlpclassifier__depth": [0, 1]}, cv=3), _search),
    "cross_validate": (NET, lambda e, X, y: cross_validate(e, X, y, cv=3)["test_score"]),
    "cross_val_score": (NET, lambda e, X, y: cross_val_score(e, X, y, cv=3)),
    "cross_val_predict": (
        NET, lambda e, X, y: cross_val_predict(e, X, y, cv=3, method="predict_proba"),
    ),
    "learning_curve": (
        NET,
        lambda e, X, y: learning_curve(
            e, X, y, cv=3, train_sizes=[0.5, 1.0], shuffle=True, random_state=0
        )[:3],
    ),
    "validation_curve": (
        NET,
        lambda e, X, y: validation_curve(
            e, X, y, cv=3, param_name="width", param_range=[4, 8]
        ),
    ),
    "permutation_test_score": (
        NET,
        lambda e, X, y: permutation_test_score(
            e, X, y, cv=3, n_permutations=3, random_state=0
        )[1],
    ),
    "bagging": (BaggingClassifier(NET, n_estimators=4, random_state=0), _predict_proba),
    "bagging-regressor": (BaggingRegressor(REG, n_estimators=4, random_state=0), _scores),
    "voting": (
        VotingClassifier([("a", NET), ("b", clone(NET).set_params(l1=0.1))], voting="soft"),
        _predict_proba,
    ),
    "voting-regressor": (
        VotingRegressor([("a", REG), ("b", clone(REG).set_params(l1=0.1))]), _scores,
    ),
    "stacking": (
        StackingClassifier(
            [("a", NET), ("b", clone(NET).set_params(l1=0.1))],
            LogisticRegression(max_iter=1000), cv=2,
        ),
        _predict_proba,
    ),
    "stacking-regressor": (
        StackingRegressor([("a", REG), ("b", clone(REG).set_params(l1=0.1))], Ridge(), cv=2),
        _scores,
    ),
    "calibrated": (CalibratedClassifierCV(NET, cv=3, method="sigmoid"), _predict_proba),
    "one-vs-rest": (OneVsRestClassifier(NET), _predict_proba),
    "one-vs-one": (OneVsOneClassifier(NET), _scores),
    "output-code": (OutputCodeClassifier(NET, random_state=0), _scores),
    "multi-output": (
        MultiOutputClassifier(NET),
        lambda e, X, y: e.fit(X, np.column_stack([y % 2, y > 4])).predict(X),
    ),
    "multi-output-regressor": (
        MultiOutputRegressor(REG),
        lambda e, X, y: e.fit(X, np.column_stack([y, -y])).predict(X),
    ),
    "classifier-chain": (
        ClassifierChain(NET, cv=3),
        lambda e, X, y: e.fit(X, np.column_stack([y % 2, y > 4]).astype(int)).predict(X),
    ),
    "tuned-threshold": (
        TunedThresholdClassifierCV(NET, cv=3), lambda e, X, y: e.fit(X, y > 4).predict(X),
    ),
    "feature-selection": (
        SequentialFeatureSelector(NET, n_features_to_select=1, cv=2),
        lambda e, X, y: e.fit(X[:, 20:23], y).get_support(),
    ),
    "search-over-bagging": (
        GridSearchCV(
            BaggingClassifier(NET, n_estimators=3, random_state=0),
            {"estimator__width": [4, 8]}, cv=2,
        ),
        _search,
    ),
    "search-over-stacking": (
        GridSearchCV(
            StackingClassifier([("a", NET)], LogisticRegression(max_iter=1000), cv=2),
            {"a__width": [4, 8]}, cv=2,
        ),
        _search,
    ),
    "search-in-search": (
        cross_val_score,
        lambda f, X, y: f(GridSearchCV(NET, {"width": [4, 8]}, cv=2), X, y, cv=2),
    ),
    "calibrated-search": (
        CalibratedClassifierCV(GridSearchCV(NET, {"width": [4, 8]}, cv=2), cv=2),
        _predict_proba,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", META)
def test_every_meta_estimator_gives_the_same_fused_and_plain(data, name):
    meta, evaluate = META[name]
    X, y = data

    def fresh():
        return clone(meta) if hasattr(meta, "get_params") else meta

    plain = evaluate(fresh(), X, y)
    fusion._thread.last_run = None
    with fused():
        together = evaluate(fresh(), X, y)
    run = last_fused_run()
    assert np.mean(run.stack_sizes) > 1, run
    if isinstance(plain, (list, tuple)):
        assert len(plain) == len(together)
        for a, b in zip(plain, together, strict=True):
            np.testing.assert_allclose(np.asarray(a, float), np.asarray(b, float), atol=1e-9)
    else:
        np.testing.assert_allclose(together, plain, atol=1e-9)


@pytest.mark.parametrize("n_jobs", [None, 1, 2, -1])
def test_n_jobs_is_ignored(data, n_jobs):
    with fused():
        cross_val_score(NET, *data, cv=5, n_jobs=n_jobs)
    assert last_fused_run().n_gathered == [5]


def test_members_differ_in_weights_and_folds(data):
    X, y = data[0][:101], data[1][:101]
    weights = np.random.default_rng(0).uniform(0.1, 2, len(y))
    search = GridSearchCV(
        NET,
        {"class_weight": [None, "balanced"], "max_epochs": [2, 6], "batch_size": [16, 64]},
        cv=4,
        error_score="raise",
    )
    plain = clone(search).fit(X, y, sample_weight=weights)
    with fused():
        together = clone(search).fit(X, y, sample_weight=weights)
    for key, values in results_of(plain).items():
        np.testing.assert_array_equal(together.cv_results_[key], values)


class FailsOn(TransformerMixin, BaseEstimator):
    """A step that fails when told so."""

    def __init__(self, fails=False):
        self.fails = fails

    def fit(self, X, y=None):
        if self.fails:
            raise ArithmeticError("the step fails")
        return self

    def transform(self, X):
        return X


def fails_for_width_4(estimator, X, y):
    if estimator.width == 4:
        raise ArithmeticError("the scorer fails")
    return estimator.score(X, y)


FAILURES = {
    "diverged": (NET, {"learning_rate": [0.02, 1e30]}, None, "Training diverged"),
    "bad-parameter": (NET, {"width": [8, -1]}, None, "width"),
    "step": (
        Pipeline([("step", FailsOn()), ("net", NET)]),
        {"step__fails": [False, True]},
        None,
        "the step fails",
    ),
    "scorer": (NET, {"width": [8, 4]}, fails_for_width_4, "the scorer fails"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_candidate_leaves_its_neighbours_alone(data, name):
    estimator, grid, scoring, _ = FAILURES[name]
    search = GridSearchCV(estimator, grid, cv=3, scoring=scoring)
    plain = clone(search).fit(*data)
    with fused():
        together = clone(search).fit(*data)
    assert np.isnan(together.cv_results_["mean_test_score"][1])
    for key, values in results_of(plain).items():
        np.testing.assert_array_equal(together.cv_results_[key], values)


@pytest.mark.parametrize("name", FAILURES)
def test_the_original_error_is_raised_where_asked_for(data, name):
    estimator, grid, scoring, message = FAILURES[name]
    search = GridSearchCV(estimator, grid, cv=3, scoring=scoring, error_score="raise")
    with fused(), pytest.raises((ValueError, ArithmeticError), match=message):
        search.fit(*data)
    with fused():  # the backend is as good as new
        assert cross_val_score(NET, *data, cv=3).shape == (3,)
    assert last_fused_run().n_gathered == [3]


def test_a_failing_fit_is_warned_of_as_ever(data):
    with fused(), pytest.warns(FitFailedWarning, match="Training diverged"):  # noqa: SIM117
        with pytest.warns(UserWarning, match="non-finite"):
            GridSearchCV(NET, {"learning_rate": [0.02, 1e30]}, cv=3).fit(*data)


def test_more_jobs_than_may_be_in_flight(data):
    search = GridSearchCV(NET, {"l1": [0, 1e-4, 1e-3, 1e-2]}, cv=5)
    plain = clone(search).fit(*data)
    with fused(max_in_flight=6):
        together = clone(search).fit(*data)
    run = last_fused_run()
    assert run.most_in_flight == 6
    assert sum(run.n_gathered) == run.n_fits == 20
    assert max(run.n_gathered) == 6
    np.testing.assert_array_equal(
        together.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_a_system_with_few_threads_is_enough(data, monkeypatch):
    real = threading.Thread.start
    n_started = []

    def start(self):
        if self.name == "skscale-job":
            alive = [t for t in threading.enumerate() if t.name == "skscale-job"]
            if len(alive) >= 4:
                raise RuntimeError("can't start new thread")
            n_started.append(len(alive))
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    with fused():
        scores = cross_val_score(NET, *data, cv=10, error_score="raise")
    assert len(n_started) == 10
    assert last_fused_run().most_in_flight == 4

    def start_none(self):
        if self.name == "skscale-job":
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", start_none)
    with fused(), pytest.raises(RuntimeError, match="can't start"):
        cross_val_score(NET, *data, cv=10)
    monkeypatch.undo()
    np.testing.assert_array_equal(scores, cross_val_score(NET, *data, cv=10))


def test_nested_calls_do_not_hang_when_few_may_be_in_flight(data):
    meta = GridSearchCV(
        BaggingClassifier(NET, n_estimators=4, random_state=0), {"estimator__l1": [0, 0.1]},
        cv=3,
    )  # fmt: skip
    plain = clone(meta).fit(*data)
    for most in (1, 2, 5):
        with fused(max_in_flight=most):
            together = clone(meta).fit(*data)
        assert max(last_fused_run().n_gathered) <= most
        np.testing.assert_array_equal(
            together.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
        )


def test_memory_limits_the_jobs_in_flight(data):
    X = np.tile(data[0], (40, 1)).astype(np.float32)  # 12,000 rows: 3 MB a copy
    y = np.tile(data[1], 40)
    network = clone(NET).set_params(precision="float32", max_epochs=1, resolution=0)
    search = GridSearchCV(network, {"l1": np.geomspace(1e-6, 1e-2, 8)}, cv=3, refit=False)
    plain = clone(search).fit(X, y)
    with fused(max_bytes=30 << 20):
        together = clone(search).fit(X, y)
    run = last_fused_run()
    assert run.n_fits == 24
    # Three megabytes a job and more, of thirty: all 24 would be too many. (How many fit depends
    # on what the process had freed before: alone this test saw 3.)
    assert 1 < max(run.n_gathered) < 24
    np.testing.assert_allclose(
        together.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"], atol=0.01
    )
    with fused():
        clone(search).fit(X, y)
    assert last_fused_run().n_gathered == [24]


def test_tasks_are_trained_in_the_order_of_their_jobs(data, monkeypatch):
    seeds, seen, real = [], [], fusion.train

    def watched(tasks, **options):
        seeds.append([task.seed for task in tasks])
        return real(tasks, **options)

    def dawdles(X):
        seen.append(1)
        time.sleep(0.03 * (len(seen) % 2 == 0))  # the next one overtakes it
        return X

    monkeypatch.setattr(fusion, "train", watched)
    model = make_pipeline(FunctionTransformer(dawdles), NET)
    grid = {"scaledmlpclassifier__random_state": list(range(6))}
    with fused():
        GridSearchCV(model, grid, cv=2, refit=False).fit(*data)
    assert seeds == [[seed for seed in range(6) for _ in range(2)]]


def test_the_first_job_is_in_flight_alone(data):
    seen = []

    def looks(X):
        rendezvous = fusion.current_job().call.rendezvous
        with rendezvous._lock:
            seen.append(rendezvous._n_in_flight)
        return X

    model = make_pipeline(FunctionTransformer(looks), NET)
    with fused():
        cross_val_score(model, *data, cv=10)
    assert seen[0] == 1
    assert max(seen[:4]) <= 4
    assert last_fused_run().n_gathered == [10]


@pytest.mark.parametrize("settings", [{"max_in_flight": 0}, {"max_bytes": -1.5}])
def test_settings_are_checked(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name} must be a positive int"):
        fused(**settings)
    with pytest.raises(ValueError, match="n_jobs == 0"):
        FusedBackend(nesting_level=0).effective_n_jobs(0)


@pytest.mark.parametrize("seconds", [0, -1.0, np.nan, "60"])
def test_a_time_budget_is_a_positive_number(seconds):
    with pytest.raises(ValueError, match="max_seconds must be a positive number or None, got"):
        fused(max_seconds=seconds)


def test_two_searches_in_two_threads_do_not_mix(data):
    outcomes = {}

    def run(name, **changes):
        with fused():
            search = GridSearchCV(clone(NET).set_params(**changes), {"l1": [0, 0.1]}, cv=4)
            outcomes[name] = (search.fit(*data), last_fused_run())

    cases = {"a": {"width": 6}, "b": {"width": 6, "random_state": 1}}
    threads = [threading.Thread(target=run, args=(n,), kwargs=c) for n, c in cases.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, changes in cases.items():
        search, fused_run = outcomes[name]
        assert fused_run.n_fits == 8
        plain = GridSearchCV(clone(NET).set_params(**changes), {"l1": [0, 0.1]}, cv=4)
        np.testing.assert_array_equal(
            plain.fit(*data).cv_results_["mean_test_score"],
            search.cv_results_["mean_test_score"],
        )


class FitsAnother(ClassifierMixin, BaseEstimator):
    """Fits networks inside its own fit, one after the other."""

    def __init__(self, width=4, how="fit"):
        self.width = width
        self.how = how

    def fit(self, X, y):
        network = clone(NET).set_params(width=self.width)
        if self.how == "cross-validation":
            self.score_ = cross_val_score(network, X, y, cv=3).mean()
        self.first_ = clone(network).fit(X, y)
        self.second_ = clone(network).set_params(l1=0.01).fit(X, y)
        self.classes_ = self.second_.classes_
        return self

    def predict(self, X):
        return self.second_.predict(X)


@pytest.mark.parametrize("how", ["fit", "cross-validation"])
def test_fits_inside_a_fit(data, how):
    search = GridSearchCV(FitsAnother(how=how), {"width": [4, 8]}, cv=3, refit=False)
    plain = clone(search).fit(*data)
    with fused():
        together = clone(search).fit(*data)
    run = last_fused_run()
    expected = [6, 6] if how == "fit" else [18, 6, 6]
    assert run.n_gathered == expected
    np.testing.assert_array_equal(
        together.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_other_estimators_run_unfused_in_the_same_search(data):
    from skorch.callbacks import EpochScoring

    own = clone(NET).set_params(callbacks=[EpochScoring("accuracy", name="acc")])
    model = Pipeline([("last", NET)])
    grid = {"last": [NET, clone(NET).set_params(l1=0.01), own, SVC(), RandomForestClassifier(
        10, random_state=0)]}  # fmt: skip
    search = GridSearchCV(model, grid, cv=3, error_score="raise")
    plain = clone(search).fit(*data)
    with fused():
        together = clone(search).fit(*data)
    assert last_fused_run().n_fits == 6
    np.testing.assert_array_equal(
        together.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


@pytest.mark.alone
def test_a_time_budget_ends_each_member(data):
    network = clone(NET).set_params(max_epochs=1_000_000, max_seconds=0.5, early_stopping=False)
    start = time.perf_counter()
    with fused():
        models = cross_validate(network, *data, cv=4, return_estimator=True)["estimator"]
    assert time.perf_counter() - start < 20
    assert last_fused_run().stack_sizes == [4]
    assert all(model.n_iter_ < 1_000_000 for model in models)


@pytest.mark.alone
def test_a_time_budget_ends_the_search_and_rules_choose_among_the_finished(data):
    X, y = data
    search = GridSearchCV(
        ScaledMLPClassifier(depth=1, early_stopping=False, random_state=0),
        [{"width": [2, 4], "max_epochs": [3]}, {"width": [8], "max_epochs": [10**7]}],
        scoring=cost_scoring(costs=["n_parameters"]),
        refit=SmallestWithin(score_loss=1.0),
        cv=3,
    )
    start = time.monotonic()
    with fused(max_seconds=3), pytest.warns((UserWarning, FitFailedWarning)) as caught:
        search.fit(X, y)
    assert time.monotonic() - start < 30
    failed = [w for w in caught if issubclass(w.category, FitFailedWarning)]
    assert len(failed) == 1
    assert "The time budget of the search (max_seconds of the backend)" in str(
        failed[0].message
    )
    assert "3 fits failed out of a total of 9" in str(failed[0].message)
    np.testing.assert_array_equal(np.isnan(search.cv_results_["mean_test_score"]), [0, 0, 1])
    assert search.best_params_["width"] == 2
    small = clone(search).set_params(param_grid={"width": [2, 4], "max_epochs": [3]})
    scores = small.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][:2], scores, atol=0.02)


def test_the_time_budget_is_one_for_all_calls_and_an_error_where_asked_for(data):
    network = ScaledMLPClassifier(width=8, max_epochs=10**7, early_stopping=False)
    with fused(max_seconds=1):
        start = time.monotonic()
        for _ in range(3):
            with pytest.raises(TimeBudgetError, match="Raise it, or search over fewer"):
                cross_val_score(network, *data, cv=2, error_score="raise")
        assert time.monotonic() - start < 10
    with fused():  # another backend has no budget
        cross_val_score(network.set_params(max_epochs=1), *data, cv=2, error_score="raise")


def test_a_job_that_waits_for_another_counts_as_waiting(data):
    X, y = data
    made, started = threading.Event(), threading.Event()

    def teach(X):
        # One job makes what the others wait for, by a fit of its own.
        if not started.is_set():
            started.set()
            clone(NET).fit(X[:, :], y[: len(X)])
            made.set()
        else:
            with fusion.blocked():
                assert made.wait(60)
        return X

    start = time.perf_counter()
    with fused():
        cross_val_score(make_pipeline(FunctionTransformer(teach), NET), X, y, cv=4)
    assert time.perf_counter() - start < fusion.PATIENCE
    assert sum(last_fused_run().n_gathered) == 5


def test_a_foreign_lock_held_during_a_fit_cannot_hang_the_run(data, monkeypatch):
    monkeypatch.setattr(fusion, "PATIENCE", 0.2)
    lock = threading.Lock()

    class Locked(ScaledMLPClassifier):
        def fit(self, X, y):
            with lock:
                return super().fit(X, y)

    with fused():
        scores = cross_val_score(Locked(**FAST), *data, cv=3, error_score="raise")
    np.testing.assert_array_equal(scores, cross_val_score(NET, *data, cv=3))


class CountsEpochs:
    """A callback of scikit-learn that counts epochs, in whatever thread they end."""

    max_propagation_depth = None

    def __init__(self):
        self.epochs = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            self.epochs.append((estimator.l1, context.task_id))
        return False


def test_callbacks_of_scikit_learn_see_every_epoch_and_bars_fill(data, capsys):
    from sklearn.callback import ProgressBar

    counts = CountsEpochs()
    with fused():
        search = GridSearchCV(NET, {"l1": [0, 0.1]}, cv=2, refit=False)
        search.set_callbacks(ProgressBar(max_propagation_depth=None), counts)
        search.fit(*data)
    assert last_fused_run().stack_sizes == [4]
    expected = [(l1, epoch) for l1 in (0, 0.1) for epoch in range(6) for _ in range(2)]
    assert sorted(counts.epochs) == expected
    bars = [line for line in capsys.readouterr().out.splitlines() if "Scaled" in line]
    assert len(bars) == 4


def test_verbose_names_the_fit_an_epoch_belongs_to(data, capsys):
    with fused():
        cross_val_score(clone(NET).set_params(verbose=1, max_epochs=2), *data, cv=3, verbose=0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    for fit in (1, 2, 3):
        assert sum(f"fit {fit}: epoch" in line for line in lines) == 2


def test_the_callers_warning_filters_are_left_as_they_were(data):
    import warnings

    before = warnings.filters[:]
    with fused():
        cross_val_score(NET, *data, cv=8)
    assert warnings.filters == before


@pytest.mark.alone
def test_an_error_ends_nested_calls_whose_jobs_are_still_queued():
    def outer(i):
        if i == 0:
            raise ArithmeticError("the first fails")
        return joblib.Parallel()(joblib.delayed(time.sleep)(0.05) for _ in range(40))

    start = time.perf_counter()
    with fused(), pytest.raises(ArithmeticError):
        joblib.Parallel()(joblib.delayed(outer)(i) for i in range(3))
    assert time.perf_counter() - start < 3


@pytest.mark.alone
def test_jobs_that_train_nothing_run_one_a_core():
    lock, running, most = threading.Lock(), [], []

    def work(i):
        with lock:
            running.append(i)
            most.append(len(running))
        time.sleep(0.05)
        with lock:
            running.remove(i)

    with fused():
        joblib.Parallel()(joblib.delayed(work)(i) for i in range(10))
    assert max(most) == min(joblib.cpu_count(), 10)


# joblib says how many results were given up, unless all have come by then
@pytest.mark.filterwarnings("ignore:.*(cancelled|executed  but not used):UserWarning")
def test_results_come_as_a_generator_in_any_thread(data):
    def fit(l1):
        return clone(NET).set_params(l1=l1).fit(*data).predict(data[0])

    penalties = [0, 0.01, 0.1, 0.5]
    expected = [fit(l1) for l1 in penalties]
    for kind in ("generator", "generator_unordered"):
        with fused():
            results = joblib.Parallel(return_as=kind)(joblib.delayed(fit)(v) for v in penalties)
        collected = []
        thread = threading.Thread(target=lambda r=results, c=collected: c.extend(r))
        thread.start()
        thread.join()
        assert sorted(map(bytes, collected)) == sorted(map(bytes, expected))
    with fused():  # one that nobody reads to its end
        results = joblib.Parallel(return_as="generator")(
            joblib.delayed(fit)(v) for v in penalties
        )
        next(results)
        results.close()


SLOW_SEARCH = """
import sys, threading, time
import joblib, numpy as np
from sklearn.model_selection import GridSearchCV
from skscale import ScaledMLPClassifier

rng = np.random.default_rng(0)
X, y = rng.standard_normal((400, 10)), rng.integers(2, size=400)
network = ScaledMLPClassifier(max_epochs=1_000_000, early_stopping=False, verbose=1)
before = threading.active_count()
try:
    with joblib.parallel_config(backend="skscale"):
        GridSearchCV(network, {"width": [4, 8]}, cv=3).fit(X, y)
except KeyboardInterrupt:
    print("interrupted", threading.active_count() - before, flush=True)
    sys.exit(7)
"""


@pytest.mark.alone
@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_ends_a_search_at_once_with_no_thread_left():
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_SEARCH], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            for line in process.stdout:
                if "epoch 3/" in line:
                    break
            process.send_signal(signal.SIGINT)
            start = time.perf_counter()
            rest, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert time.perf_counter() - start < 5
    assert process.returncode == 7
    assert rest.splitlines()[-1] == "interrupted 0"


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling it"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough "
                      "memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)  # fmt: skip
def test_too_little_memory_is_known_by_all_its_names(error, is_memory):
    from skscale.training.out_of_memory import is_out_of_memory

    assert is_out_of_memory(error) == is_memory


@pytest.mark.parametrize("n_fit", [1, 2])
def test_too_little_memory_halves_the_stack_not_the_search(data, monkeypatch, n_fit):
    from skscale.training import stack

    real = stack.Stack.train

    def train(self):
        if len(self.members) > n_fit:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return real(self)

    monkeypatch.setattr(stack.Stack, "train", train)
    with fused(), pytest.warns(RuntimeWarning, match="Device 'cpu' has too little memory"):
        scores = cross_val_score(NET, *data, cv=6, error_score="raise")
    assert max(last_fused_run().stack_sizes) <= n_fit
    monkeypatch.undo()
    np.testing.assert_array_equal(scores, cross_val_score(NET, *data, cv=6))


def test_equal_arrays_are_stored_once(data):
    from skscale.fusion.sharing import SharedArrays
    from tests.test_engine import make_task

    arrays = SharedArrays()
    one, other, third = (
        make_task(weighted=True),
        make_task(weighted=True),
        make_task(data_seed=1),
    )
    assert one.X is not other.X
    for task in (one, other, third):
        arrays.share(task)
    for name in ("X", "targets", "weights", "train_rows"):
        assert getattr(one, name) is getattr(other, name)
    assert third.X is not one.X
    assert other.n_own_bytes == 0
    assert one.n_own_bytes > one.X.nbytes
