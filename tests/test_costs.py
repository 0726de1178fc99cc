"""Costs as scores: counted by hand, measured against a clock."""

import pickle
import threading
import time
import warnings

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import (
    GridSearchCV,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    BestUnder,
    Cost,
    ParetoDisplay,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    cost_scoring,
    scale_report,
    select,
)
from skscale.costs.latency import measure_latency
from skscale.training.quiet import Gate

NETWORK = ScaledMLPClassifier(depth=1, width=5, max_epochs=2, random_state=0)
# 4 features, 5 units, 3 classes.
N_PARAMETERS, N_MACS = 4 * 5 + 5 + 5 * 3 + 3, 4 * 5 + 5 * 3


@pytest.fixture(scope="module")
def iris():
    from sklearn.datasets import load_iris

    return load_iris(return_X_y=True)


def costs_of(estimator, X, y, *costs, **arguments):
    return cost_scoring(costs=costs, **arguments)(estimator.fit(X, y), X, y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("estimator", "n_networks"),
    [
        (NETWORK, 1),
        (make_pipeline(StandardScaler(), NETWORK), 1),
        (BaggingClassifier(NETWORK, n_estimators=3), 3),
        (VotingClassifier([("a", NETWORK), ("b", NETWORK)]), 2),
        (CalibratedClassifierCV(make_pipeline(StandardScaler(), NETWORK), cv=2), 2),
        (GridSearchCV(NETWORK, {"l1": [0, 0.1]}, cv=2), 1),
        (MLPClassifier((5,), max_iter=2), 1),
    ],
    ids=lambda e: type(e).__name__,
)
def test_networks_are_counted_at_any_depth(iris, estimator, n_networks):
    estimator = clone(estimator)  # no prototype was fitted before
    scores = costs_of(estimator, *iris, "n_parameters", "n_macs", "size_bytes")
    assert scores["n_parameters"] == n_networks * N_PARAMETERS
    assert scores["n_macs"] == n_networks * N_MACS
    assert scores["size_bytes"] == len(pickle.dumps(estimator))
    assert scores["score"] == estimator.score(*iris)


def test_linear_models_are_counted(iris):
    scores = costs_of(LogisticRegression(max_iter=1000), *iris, "n_parameters", "n_macs")
    assert scores == {
        "score": scores["score"], "n_parameters": 4 * 3 + 3, "n_macs": 4 * 3,
        "n_test_rows": 150,
    }  # fmt: skip


@pytest.mark.parametrize(
    "scoring",
    [None, "recall_macro", make_scorer(recall_score, average="macro"),
     lambda estimator, X, y: recall_score(y, estimator.predict(X), average="macro")],
    ids=["None", "name", "scorer", "callable"],
)  # fmt: skip
def test_the_score_is_that_of_scikit_learn(iris, scoring):
    fitted = NETWORK.fit(*iris)
    expected = recall_score(iris[1], fitted.predict(iris[0]), average="macro")
    assert cost_scoring(scoring)(fitted, *iris)["score"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "backend", ["sequential", "skscale", pytest.param("loky", marks=pytest.mark.slow)]
)
def test_a_search_has_a_column_for_each_cost_of_positive_measurements(iris, backend):
    names = ("n_parameters", "n_macs", "size_bytes", "latency_us", "fit_time")
    search = GridSearchCV(
        NETWORK, {"width": [5, 50]}, scoring=cost_scoring("accuracy", names), refit="score"
    )
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = search.fit(*iris).cv_results_
    np.testing.assert_array_equal(
        results["mean_test_n_parameters"], [N_PARAMETERS, 4 * 50 + 50 + 50 * 3 + 3]
    )
    for name in names:
        assert (results[f"mean_test_{name}"] > 0).all()
    assert np.diff(results["mean_test_size_bytes"]) > 4 * 300
    assert "mean_test_peak_device_bytes" not in results


@pytest.mark.parametrize(
    "backend", ["sequential", pytest.param("loky", marks=pytest.mark.slow), "skscale"]
)
def test_a_search_has_the_numbers_of_rows_of_each_split(iris, backend):
    X, y = iris
    rng = np.random.default_rng(0)
    splits = [
        (rng.permutation(150)[:a], rng.permutation(150)[:b]) for a, b in [(90, 31), (70, 8)]
    ]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), NETWORK), {"scaledmlpclassifier__width": [2, 5]},
        scoring=cost_scoring("accuracy", ["n_parameters"]), cv=splits, refit=False,
        return_train_score=True,
    )  # fmt: skip
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = search.fit(X, y).cv_results_
    for i, (train, test) in enumerate(splits):
        assert (results[f"split{i}_test_n_train_rows"] == len(train)).all()
        assert (results[f"split{i}_test_n_test_rows"] == len(test)).all()
    # Training scores are scored on the training rows.
    assert (results["split0_train_n_test_rows"] == 90).all()
    # They are no costs.
    assert select(search, BestUnder(n_parameters=1e9)).costs.keys() == {"n_parameters"}
    # Without a search the number of training rows is unknown.
    scores = cost_scoring("accuracy", ["n_parameters"])(NETWORK.fit(X, y), X[:20], y[:20])
    assert scores["n_test_rows"] == 20
    assert "n_train_rows" not in scores


def test_cross_validate_has_the_numbers_of_rows(iris):
    results = cross_validate(NETWORK, *iris, cv=7, scoring=cost_scoring(costs=["n_parameters"]))
    assert (results["test_n_test_rows"] + results["test_n_train_rows"] == 150).all()
    assert set(results["test_n_test_rows"]) == {21, 22}  # 150 rows in 7 stratified folds


def test_an_unknown_cost_is_left_out_with_one_warning(iris):
    scoring = cost_scoring(costs=["n_parameters", "fit_time", "size_bytes"])
    forest = RandomForestClassifier(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = cross_validate(forest, *iris, scoring=scoring, cv=4)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "'n_parameters' of RandomForestClassifier is unknown" in messages[0]
    assert "'fit_time' of RandomForestClassifier is unknown" in messages[1]
    assert set(results) == {
        "fit_time", "score_time", "test_score", "test_size_bytes", "test_n_test_rows",
        "test_n_train_rows",
    }  # fmt: skip


def test_a_candidate_among_others_whose_cost_is_unknown_has_nan(iris):
    model = make_pipeline(StandardScaler(), NETWORK)
    search = GridSearchCV(
        model, {"scaledmlpclassifier": [NETWORK, RandomForestClassifier(3)]},
        scoring=cost_scoring(costs=["n_parameters"]), refit="score",
    )  # fmt: skip
    with pytest.warns(UserWarning, match="is unknown|non-finite"):
        column = search.fit(*iris).cv_results_["mean_test_n_parameters"]
    assert column[0] == N_PARAMETERS
    assert np.isnan(column[1])


def test_an_estimator_that_cannot_be_pickled_has_no_size(iris):
    class Local(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            self.function_ = lambda: None
            return self

        def predict(self, X):
            return np.zeros(len(X), dtype=int)

    with pytest.warns(UserWarning, match="'size_bytes' of Local is unknown.*be pickled"):
        scores = costs_of(Local(), *iris, "size_bytes", "latency_us")
    assert set(scores) == {"score", "latency_us", "n_test_rows"}


def test_metadata_reaches_the_scorer(iris):
    import sklearn

    weights = np.linspace(0, 1, 150)
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(recall_score, average="macro").set_score_request(
            sample_weight=True
        )
        results = cross_validate(
            NETWORK.set_fit_request(sample_weight=True), *iris, cv=2,
            scoring=cost_scoring(scorer, ["n_parameters"]), params={"sample_weight": weights},
            return_estimator=True, return_indices=True,
        )  # fmt: skip
    test = results["indices"]["test"][0]
    expected = recall_score(
        iris[1][test], results["estimator"][0].predict(iris[0][test]), average="macro",
        sample_weight=weights[test],
    )  # fmt: skip
    assert results["test_score"][0] == expected


def test_cost_scoring_survives_repr_and_pickle_and_checks_its_arguments(iris):
    scoring = cost_scoring("accuracy", costs="n_macs", n_rows=3)
    assert repr(scoring) == "cost_scoring('accuracy', costs=('n_macs',), n_rows=3)"
    assert repr(eval(repr(scoring))) == repr(scoring)
    again = pickle.loads(pickle.dumps(scoring))
    assert again(NETWORK.fit(*iris), *iris)["n_macs"] == N_MACS
    with pytest.raises(ValueError, match=r"Unknown cost 'flops'. Expected some of \['n_param"):
        cost_scoring(costs=["flops"])
    with pytest.raises(ValueError, match="Expected a scoring as in scikit-learn"):
        cost_scoring(3)
    with pytest.raises(ValueError, match="other than 'loss', which names a score"):
        cost_scoring({"loss": "neg_log_loss"}, costs=["loss"])
    with pytest.raises(ValueError, match="not a valid scoring"):
        cost_scoring("acuracy")
    with pytest.raises(ValueError, match="n_rows must be at least 1"):
        cost_scoring(n_rows=0)


@pytest.mark.parametrize(
    "metrics", [["accuracy", "neg_log_loss"], {"a": "accuracy", "b": None}]
)
def test_several_metrics_stand_beside_the_costs(metrics, iris):
    if isinstance(metrics, dict):
        metrics["b"] = make_scorer(recall_score, average="macro")
    names = list(metrics)
    search = GridSearchCV(
        NETWORK, {"mlp__width": [2, 8]} if "mlp" in NETWORK.get_params() else {"width": [2, 8]},
        scoring=cost_scoring(metrics, costs=["n_parameters"]), cv=3,
        refit=SmallestWithin(score_loss=0.9, score=names[0]),
    ).fit(*iris)  # fmt: skip
    assert "mean_test_score" not in search.cv_results_
    for name in (*names, "n_parameters"):
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
    assert search.best_index_ == 0
    assert (
        select(search, BestUnder(n_parameters=1e9, score=names[1])).params
        in (search.cv_results_["params"])
    )
    ParetoDisplay.from_cv_results(search, score=names[1])
    plt.close("all")


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite")
@pytest.mark.parametrize("several", [False, True])
def test_a_score_that_is_undefined_in_one_fold_is_nan_there(several, iris):
    def strict(estimator, X, y):
        if (y == 0).sum() > 10:
            raise ValueError("more than ten rows of class 0")
        return float((estimator.predict(X) == y).mean())

    X, y = iris
    splits = [(np.arange(150), rows) for rows in (np.arange(0, 150, 2), np.arange(50, 150))]
    scoring = {"strict": strict, "accuracy": "accuracy"} if several else strict
    name = "strict" if several else "score"
    for n_jobs in (None, 2) if several else (None,):
        search = GridSearchCV(
            LogisticRegression(max_iter=500), {"C": [0.1, 1.0]}, cv=splits, n_jobs=n_jobs,
            scoring=cost_scoring(scoring, costs=["n_parameters"]), refit=False,
        )  # fmt: skip
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            search.fit(X, y)
        if n_jobs is None:  # other processes warn by themselves
            text = f"Scoring failed: {name!r} of this split is set to nan"
            assert sum(text in str(warning.message) for warning in caught) == 2
        results = search.cv_results_
        assert np.isnan(results[f"split0_test_{name}"]).all()
        assert (results[f"split1_test_{name}"] > 0.5).all()
        assert (results["mean_test_n_parameters"] == 15).all()
    search.set_params(error_score="raise")
    with pytest.raises(ValueError, match="more than ten rows of class 0"):
        search.fit(X, y)
    with pytest.raises(ValueError, match="more than ten rows of class 0"):
        search.scoring(LogisticRegression(max_iter=500).fit(X, y), X, y)


def test_latency_is_the_best_of_several_rounds(monkeypatch):
    class Sleeper:
        n = 0

        def predict(self, X):
            type(self).n += 1
            # Other load slows the predictions of the first two rounds.
            time.sleep(0.002 if self.n <= 3 + 40 else 0.0002)

    monkeypatch.setattr("skscale.costs.latency._MAX_SECONDS", 10.0)
    assert 150 < measure_latency(Sleeper(), None) < 1500


class Readings(Cost):
    """Depth times a price, with parameters of its own."""

    unit = "cents"

    def __init__(self, price=2.0, name="readings"):
        self.price = price
        self.own_name = name

    @property
    def name(self):
        return self.own_name

    def measure(self, scored):
        assert len(scored.X) == len(scored.y)
        assert scored.parts[0] is scored.estimator
        assert scored.pickle_size == len(pickle.dumps(scored.estimator))
        return self.price * sum(network.depth for network in scored.networks)


class Constant(Cost):
    name = "constant"

    def __init__(self, value):
        self.value = value

    def measure(self, scored):
        return self.value


@pytest.mark.parametrize(
    "backend", ["sequential", pytest.param("loky", marks=pytest.mark.slow), "skscale"]
)
def test_a_cost_of_ones_own_is_measured_in_a_search(iris, backend):
    scoring = cost_scoring("accuracy", costs=["n_parameters", Readings(0.5)])
    search = GridSearchCV(
        make_pipeline(StandardScaler(), ScaledMLPClassifier(width=4, max_epochs=3)),
        {"scaledmlpclassifier__depth": [3, 1, 2]}, scoring=scoring, cv=2,
        refit=SmallestWithin(score_loss=1, cost="readings"),
    )  # fmt: skip
    smallest = r"chose the smallest candidate \(readings=0.5\)"
    with (
        pytest.warns(UserWarning, match=smallest),
        joblib.parallel_config(backend=backend, n_jobs=2),
    ):
        search.fit(*iris)
    np.testing.assert_array_equal(search.cv_results_["mean_test_readings"], [1.5, 0.5, 1.0])
    assert search.best_params_ == {"scaledmlpclassifier__depth": 1}
    assert search.score(*iris) == search.best_estimator_.score(*iris)
    assert select(search, BestUnder(readings=0.5)).index == 1
    again = pickle.loads(pickle.dumps(search))
    assert again.scoring == scoring == clone(search).scoring
    assert hash(again.scoring) == hash(scoring)
    assert again.score(*iris) == search.score(*iris)


def test_displays_and_the_report_show_a_cost_of_ones_own(iris):
    search = GridSearchCV(
        ScaledMLPClassifier(width=4, max_epochs=3, random_state=0), {"depth": [1, 2, 3]}, cv=2,
        scoring=cost_scoring("accuracy", costs=[Readings()]), refit="score",
    ).fit(*iris)  # fmt: skip
    display = ParetoDisplay.from_cv_results(search, cost="readings")
    assert display.ax_.get_xlabel() == "readings (cents)"
    report = scale_report(search, rule=SmallestWithin(score_loss=1, cost="readings"))
    assert report.size_name == "readings"
    assert report.table["readings"] == [2.0, 4.0, 6.0]
    assert report.recommended.params == {"depth": 1}
    assert "readings cents" in str(report)
    assert "Not measured: n_parameters, loss" in str(report)
    assert pickle.loads(pickle.dumps(report)).savings == report.savings
    assert report.plot().axes[0].get_xlabel() == "readings (cents)"
    plt.close("all")


def test_costs_of_ones_own_are_equal_by_value():
    assert Readings(3.0) == Readings(3.0) != Readings(4.0)
    assert cost_scoring(costs=[Constant(1)]) == cost_scoring(costs=[Constant(1)])
    assert cost_scoring(costs=[Constant(1)]) != cost_scoring(costs=[Constant(2)])
    assert cost_scoring(costs=Constant(1)).costs == (Constant(1),)
    assert repr(cost_scoring(costs=[Constant(1)])) == (
        "cost_scoring(None, costs=(Constant(value=1),))"
    )


def test_values_of_costs_are_numbers_or_unknown(iris):
    fitted = NETWORK.fit(*iris)

    def measure(value):
        return cost_scoring(costs=Constant(value))(fitted, *iris)["constant"]

    assert measure(np.float32(2.5)) == 2.5
    assert isinstance(measure(np.int64(2)), int)
    with pytest.warns(UserWarning, match="'constant' of ScaledMLPClassifier is unknown"):
        assert np.isnan(measure(None))
    with pytest.raises(TypeError, match=r"Constant.measure must return a number.*got '5'"):
        measure("5")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cost_scoring(costs=[Broken()])(fitted, *iris)


class Broken(Cost):
    name = "broken"

    def measure(self, scored):
        return scored.nothing


@pytest.mark.parametrize(
    ("costs", "error", "message"),
    [
        (["n_macs", "n_macs"], ValueError, r"different names, got 'n_macs' twice.*rename it"),
        (["n_macs", Readings(name="n_macs")], ValueError, "'n_macs' twice"),
        ([Readings(name="score")], ValueError, r"other than 'score'.*Rename the cost"),
        ([Readings(name=3)], ValueError, "Expected a str as the name.*name=3"),
        (
            [Readings(name="n_test_rows")],
            ValueError,
            r"other than 'n_test_rows', which names a number of rows.*Rename the cost",
        ),
        ([Readings], TypeError, r"got the class .*Pass Readings\(\)"),
        ([3], TypeError, r"name of a cost or an object of a subclass of skscale.Cost.*got 3"),
    ],
)
def test_costs_without_a_name_of_their_own_raise_errors(costs, error, message):
    with pytest.raises(error, match=message):
        cost_scoring(costs=costs)


def test_a_cost_without_measure_or_name_cannot_be_made():
    class Nameless(Cost):
        def measure(self, scored):
            return 1

    with pytest.raises(TypeError, match="abstract"):
        Nameless()


# Each first use of processes imports torch there: several seconds.
@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "use",
    [
        lambda model, X, y, **p: cross_val_score(model, X, y, **p),
        lambda model, X, y, **p: learning_curve(model, X, y, train_sizes=[0.5], **p),
        lambda model, X, y, **p: learning_curve(
            model, X, y, train_sizes=[0.5], exploit_incremental_learning=True, **p
        ),
        lambda model, X, y, **p: validation_curve(
            model, X, y, param_name="width", param_range=[2, 4], **p
        ),
        lambda model, X, y, **p: permutation_test_score(model, X, y, n_permutations=2, **p),
        lambda model, X, y, **p: SequentialFeatureSelector(
            model, n_features_to_select=1, **p
        ).fit(X, y),
        lambda model, X, y, **p: RFECV(LogisticRegression(max_iter=500), **p).fit(X, y),
    ],
    ids=["cross_val_score", "learning_curve", "incremental", "validation_curve",
         "permutation_test_score", "SequentialFeatureSelector", "RFECV"],
)  # fmt: skip
def test_where_one_number_is_expected_the_error_names_cross_validate(iris, use, n_jobs):
    X, y = iris
    scoring = cost_scoring("accuracy", costs=["n_parameters"])
    model = ScaledMLPClassifier(max_epochs=1, random_state=0)
    with pytest.raises(
        TypeError, match=r"one number, got cost_scoring\('accuracy'.*Use cross_validate"
    ):
        use(model, X[::3], y[::3], scoring=scoring, cv=2, n_jobs=n_jobs)


def test_a_search_with_costs_within_a_learning_curve_is_scored(iris):
    search = GridSearchCV(
        NETWORK, {"width": [2, 4]}, scoring=cost_scoring(), refit=SmallestWithin(), cv=2
    )
    X, y = iris
    _, train, test = learning_curve(
        search, X, y, train_sizes=[1.0], cv=2, shuffle=True, random_state=0
    )
    assert train.shape == test.shape == (1, 2)
    assert np.isfinite(test).all()


class Slow(ClassifierMixin, BaseEstimator):
    def __init__(self, seconds=0.0):
        self.seconds = seconds

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        self.n_rows = len(X)
        time.sleep(self.seconds * len(X))
        return np.zeros(len(X), dtype=int)


@pytest.mark.alone
def test_latency_is_in_microseconds_of_n_rows(iris):
    estimator = Slow(0.002)
    assert 2000 <= costs_of(estimator, *iris, "latency_us")["latency_us"] < 8000
    assert estimator.n_rows == 1
    assert costs_of(estimator, *iris, "latency_us", n_rows=5)["latency_us"] >= 10_000
    assert estimator.n_rows == 5


@pytest.mark.alone
def test_latency_ranks_two_networks_in_20_of_20_tries_with_the_cores_busy(digits):
    X, y = digits
    small = ScaledMLPClassifier(depth=1, width=8, max_epochs=1, random_state=0).fit(X, y)
    large = ScaledMLPClassifier(depth=4, width=512, max_epochs=1, random_state=0).fit(X, y)
    stop = threading.Event()

    def work():
        a = np.ones((100, 100))
        while not stop.is_set():
            a @ a
            sum(range(1000))

    busy = [threading.Thread(target=work) for _ in range(joblib.cpu_count())]
    for thread in busy:
        thread.start()
    try:
        ranked = [
            measure_latency(small, X[:1]) < measure_latency(large, X[:1]) for _ in range(20)
        ]
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    assert ranked == [True] * 20


@pytest.mark.alone
def test_measurements_wait_for_trainings_and_for_one_another():
    gate, log, release = Gate(), [], threading.Event()

    def train(name):
        with gate.training():
            log.append(f"{name} begins")
            release.wait(30)
            log.append(f"{name} ends")

    def measure(name):
        with gate.quiet(patience=30):
            log.append(f"{name} begins")
            time.sleep(0.02)
            log.append(f"{name} ends")

    def start(function, *names):
        started = [threading.Thread(target=function, args=(name,)) for name in names]
        for thread in started:
            thread.start()
        threads.extend(started)

    def wait_until(condition):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)

    threads = []
    start(train, "t1", "t2")
    wait_until(lambda: len(log) == 2)  # together
    start(measure, "m1", "m2")
    wait_until(lambda: gate._n_waiting == 2)
    start(train, "t3")
    time.sleep(0.05)
    assert sorted(log) == ["t1 begins", "t2 begins"]
    release.set()
    for thread in threads:
        thread.join()
    assert sorted(log[2:4]) == ["t1 ends", "t2 ends"]
    first, second = ["m1 begins", "m1 ends"], ["m2 begins", "m2 ends"]
    assert log[4:8] in (first + second, second + first)
    assert log[8:] == ["t3 begins", "t3 ends"]  # the waiting measurements come first


@pytest.mark.alone
def test_the_gate_never_waits_for_its_own_thread_nor_for_ever():
    gate = Gate()
    with gate.training(), gate.quiet(), gate.training():
        pass
    with gate.quiet(), gate.quiet(), gate.training():
        pass
    began = threading.Event()
    end = threading.Event()

    def train():
        with gate.training():
            began.set()
            end.wait()

    thread = threading.Thread(target=train)
    thread.start()
    began.wait()
    start = time.monotonic()
    with gate.quiet(patience=0.05):
        assert 0.04 < time.monotonic() - start < 5
    end.set()
    thread.join()


@pytest.mark.alone
def test_shares_of_a_stack_add_up_to_its_time(digits):
    X, y = digits
    networks = [
        ScaledMLPRegressor(width=8, max_epochs=epochs, early_stopping=False, random_state=0)
        for epochs in (5, 10, 20)
    ]
    start = time.perf_counter()
    with joblib.parallel_config(backend="skscale"):
        fitted = joblib.Parallel()(joblib.delayed(n.fit)(X, y) for n in networks)
    seconds = time.perf_counter() - start
    shares = [n.fit_time_ for n in fitted]
    assert 0 < shares[0] < shares[1] < shares[2]
    assert sum(shares) < seconds
    alone = networks[0].fit(X, y)
    assert alone.fit_time_ > 0
    assert alone.peak_device_bytes_ is None


def test_a_class_that_was_not_trained_on_has_no_loss(iris):
    X, y = iris
    fitted = LogisticRegression(max_iter=1000).fit(X[:100], y[:100])
    with pytest.warns(UserWarning, match="The cost 'loss'"):
        scores = cost_scoring("accuracy", costs=["loss"])(fitted, X, y)
    assert scores["score"] <= 2 / 3
    assert "loss" not in scores
