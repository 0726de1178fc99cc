"""Costs as scores: counted by hand, measured against a clock."""

import pickle
import threading
import time
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, cost_scoring
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
def test_networks_are_counted_wherever_they_are(iris, estimator, n_networks):
    estimator = clone(estimator)  # of which no prototype was ever fitted
    scores = costs_of(estimator, *iris, "n_parameters", "n_macs", "size_bytes")
    assert scores["n_parameters"] == n_networks * N_PARAMETERS
    assert scores["n_macs"] == n_networks * N_MACS
    assert scores["size_bytes"] == len(pickle.dumps(estimator))
    assert scores["score"] == estimator.score(*iris)


def test_linear_models_are_counted(iris):
    scores = costs_of(LogisticRegression(max_iter=1000), *iris, "n_parameters", "n_macs")
    assert scores == {"score": scores["score"], "n_parameters": 4 * 3 + 3, "n_macs": 4 * 3}


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


def test_a_search_has_a_column_for_each_cost_of_positive_measurements(iris):
    names = ("n_parameters", "n_macs", "size_bytes", "latency_us", "fit_time")
    search = GridSearchCV(
        NETWORK, {"width": [5, 50]}, scoring=cost_scoring("accuracy", names), refit="score"
    )
    for backend in ("sequential", "skscale", "loky"):
        with joblib.parallel_config(backend=backend, n_jobs=2):
            results = search.fit(*iris).cv_results_
        np.testing.assert_array_equal(
            results["mean_test_n_parameters"], [N_PARAMETERS, 4 * 50 + 50 + 50 * 3 + 3]
        )
        for name in names:
            assert (results[f"mean_test_{name}"] > 0).all()
        assert np.diff(results["mean_test_size_bytes"]) > 4 * 300
    assert "mean_test_peak_device_bytes" not in results


def test_what_cannot_be_known_is_left_out_with_one_warning(iris):
    scoring = cost_scoring(costs=["n_parameters", "fit_time", "size_bytes"])
    forest = RandomForestClassifier(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = cross_validate(forest, *iris, scoring=scoring, cv=4)
    messages = [str(w.message) for w in caught]
    assert len(messages) == 2
    assert "'n_parameters' of RandomForestClassifier cannot be known" in messages[0]
    assert "'fit_time' of RandomForestClassifier cannot be known" in messages[1]
    assert set(results) == {"fit_time", "score_time", "test_score", "test_size_bytes"}


def test_a_candidate_among_others_whose_cost_is_unknown_has_nan(iris):
    model = make_pipeline(StandardScaler(), NETWORK)
    search = GridSearchCV(
        model, {"scaledmlpclassifier": [NETWORK, RandomForestClassifier(3)]},
        scoring=cost_scoring(costs=["n_parameters"]), refit="score",
    )  # fmt: skip
    with pytest.warns(UserWarning, match="cannot be known|non-finite"):
        column = search.fit(*iris).cv_results_["mean_test_n_parameters"]
    assert column[0] == N_PARAMETERS
    assert np.isnan(column[1])


def test_what_cannot_be_pickled_has_no_size(iris):
    class Local(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            self.function_ = lambda: None
            return self

        def predict(self, X):
            return np.zeros(len(X), dtype=int)

    with pytest.warns(UserWarning, match="'size_bytes' of Local cannot be known"):
        scores = costs_of(Local(), *iris, "size_bytes", "latency_us")
    assert set(scores) == {"score", "latency_us"}


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


def test_it_is_read_and_written_and_refuses_what_it_does_not_know(iris):
    scoring = cost_scoring("accuracy", costs="n_macs", n_rows=3)
    assert repr(scoring) == "cost_scoring('accuracy', costs=('n_macs',), n_rows=3)"
    assert repr(eval(repr(scoring))) == repr(scoring)
    again = pickle.loads(pickle.dumps(scoring))
    assert again(NETWORK.fit(*iris), *iris)["n_macs"] == N_MACS
    with pytest.raises(ValueError, match=r"Unknown cost 'flops'. Expected some of \['n_param"):
        cost_scoring(costs=["flops"])
    with pytest.raises(ValueError, match="for several scores"):
        cost_scoring(["accuracy", "recall"])
    with pytest.raises(ValueError, match="not a valid scoring"):
        cost_scoring("acuracy")
    with pytest.raises(ValueError, match="n_rows must be at least 1"):
        cost_scoring(n_rows=0)


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
def test_latency_is_in_microseconds_of_the_rows_asked_for(iris):
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
    assert log[8:] == ["t3 begins", "t3 ends"]  # what measures was there first


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
