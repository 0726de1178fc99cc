"""Predictions in many threads at once, and in processes that were forked whatever ran."""

import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import warnings

import joblib
import numpy as np
import pytest
import torch
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skscale import (
    Distillation,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    freeze,
    load_frozen,
)

# Seconds that nothing in a child takes by far.
LIMIT = 20
FAST = {"max_epochs": 2, "random_state": 0}
pytestmark = pytest.mark.usefixtures("two_threads")


def needs_fork(test):
    no_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no process")
    return pytest.mark.alone(no_fork(test))


class Dropping(nn.Module):
    """A network that draws random numbers of torch's own, also when it predicts."""

    def __init__(self, n_features, n_outputs, width=16):
        super().__init__()
        self.hidden = nn.Linear(n_features, width)
        self.drop = nn.Dropout(0.2)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(self.drop(torch.relu(self.hidden(x))))


class Halting(Dropping):
    """One that predicts for as long as the test says."""

    entered, leave = threading.Event(), threading.Event()

    def forward(self, x):
        if not self.training and len(x) == 7:
            Halting.entered.set()
            assert Halting.leave.wait(LIMIT)
        return super().forward(x)


class SlowTeacher(DummyClassifier):
    entered, leave = threading.Event(), threading.Event()

    def fit(self, X, y, sample_weight=None):
        if threading.current_thread() is not threading.main_thread():
            SlowTeacher.entered.set()
            assert SlowTeacher.leave.wait(LIMIT)
        return super().fit(X, y, sample_weight)


@pytest.fixture(scope="module")
def fitted(digits, tmp_path_factory):
    """One estimator of each kind that predicts."""
    X, y = digits[0][:300], digits[1][:300]
    path = tmp_path_factory.mktemp("frozen") / "predictor"
    mlp = ScaledMLPClassifier(**FAST).fit(X, y)
    freeze(mlp).save(path)
    return {
        "mlp": mlp,
        "ensemble": ScaledMLPClassifier(n_estimators=3, width=16, **FAST).fit(X, y),
        "regressor": ScaledMLPRegressor(width=16, **FAST).fit(X, X[:, :2] + y[:, None]),
        "pipeline": make_pipeline(StandardScaler(), ScaledMLPClassifier(**FAST)).fit(X, y),
        "frozen": load_frozen(path),
        "cnn": ScaledCNNClassifier(**FAST).fit(X, y),
        "network": ScaledNetworkClassifier(Dropping, **FAST).fit(X, y),
    }


def predict_all(fitted, X):
    """Return all that the estimators say of rows, alone and together."""
    return {
        (name, method, len(rows)): getattr(estimator, method)(rows)
        for name, estimator in fitted.items()
        for method in ("predict", "predict_proba")
        if hasattr(estimator, method)
        for rows in (X[:1], X[:30])
    }


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value, err_msg=str(key))


def test_eight_threads_predict_bitwise_the_same_as_one_during_a_fit(fitted, digits):
    X, y = digits
    expected = predict_all(fitted, X)
    n_calls, n_threads = 10_000, 7
    n_rounds = -(-n_calls // (n_threads * len(expected)))
    # Read from their pickles, whose modules are made by whichever thread comes first.
    shared = pickle.loads(pickle.dumps(fitted))
    wrong, n_done, finished = [], [0] * n_threads, threading.Event()
    start = threading.Barrier(n_threads + 1)

    def predict(number):
        start.wait()
        keys = list(expected)
        for turn in range(n_rounds):
            for place in range(len(keys)):
                name, method, n_rows = key = keys[(place + turn + number) % len(keys)]
                found = getattr(shared[name], method)(X[:n_rows])
                if not np.array_equal(found, expected[key]):
                    wrong.append(key)
                n_done[number] += 1

    def fit():
        start.wait()
        while not finished.is_set():
            ScaledNetworkClassifier(Dropping, **FAST).fit(X[:300], y[:300])
            ScaledMLPClassifier(**FAST).fit(X[:300], y[:300])
            n_fits.append(1)

    n_fits = []
    threads = [threading.Thread(target=predict, args=(n,)) for n in range(n_threads)]
    fitting = threading.Thread(target=fit)
    for thread in [*threads, fitting]:
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    fitting.join()
    assert wrong == []
    assert sum(n_done) >= n_calls
    assert n_fits
    assert_equal(predict_all(fitted, X), expected)


@contextlib.contextmanager
def forking():
    """Python from 3.12 on warns of what is tested here."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "This process .* is multi-threaded", DeprecationWarning
        )
        yield


def in_a_child(work):
    """Fork; return 0 where `work()` ended well in the child, else what became of it."""
    with forking():
        child = os.fork()
    if not child:
        code = 1
        try:
            faulthandler.dump_traceback_later(LIMIT - 2, exit=True)  # where it hangs
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "it hung"


@needs_fork
def test_a_child_predicts_and_fits_after_its_parent_did_with_two_threads(fitted, digits):
    X, y = digits
    former = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        # Large enough for two threads, whose team the child has not.
        wide = ScaledMLPClassifier(
            depth=2, width=1024, batch_size=1024, max_epochs=1, random_state=0
        ).fit(X, y)
        images = np.tile(X, (4, 1))
        fitted["cnn"].predict(images)
        expected = predict_all(fitted | {"wide": wide}, X)

        def work():
            assert_equal(predict_all(fitted | {"wide": wide}, X), expected)
            fresh = pickle.loads(pickle.dumps(fitted))
            assert_equal(predict_all(fresh | {"wide": wide}, X), expected)
            fitted["cnn"].predict(images)
            ScaledNetworkClassifier(Dropping, **FAST).fit(X[:300], y[:300])
            again = ScaledMLPClassifier(**FAST).fit(X[:300], y[:300])
            np.testing.assert_array_equal(again.predict(X), fitted["mlp"].predict(X))

        assert in_a_child(work) == 0
    finally:
        torch.set_num_threads(former)


class Work:
    """Something to be sent to a worker: predictions, and whether they are as expected."""

    def __init__(self, fitted, X, expected):
        self.fitted, self.X, self.expected = fitted, X, expected

    def __call__(self, number):
        assert_equal(predict_all(self.fitted, self.X), self.expected)
        return os.getpid()


@needs_fork
def test_the_workers_of_a_forked_pool_predict_the_same(fitted, digits):
    work = Work(fitted, digits[0][:30], predict_all(fitted, digits[0]))
    with forking(), multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(work, range(6)).get(LIMIT)
    assert os.getpid() not in found


def test_the_workers_of_joblib_predict_the_same(fitted, digits):
    X = digits[0][:30]
    names = ("mlp", "ensemble", "regressor", "pipeline", "frozen")
    jobs = {name: fitted[name] for name in names}
    found = joblib.Parallel(n_jobs=2, backend="loky", timeout=60)(
        joblib.delayed(estimator.predict)(X) for estimator in jobs.values()
    )
    for name, predicted in zip(jobs, found, strict=True):
        np.testing.assert_array_equal(predicted, fitted[name].predict(X))


@needs_fork
def test_a_child_that_is_forked_while_another_thread_predicts_and_fits_does_not_wait(
    fitted, digits
):
    X, y = digits[0][:300], digits[1][:300]
    expected = predict_all(fitted, X)
    read, stop = pickle.dumps(fitted), threading.Event()

    def busy():
        while not stop.is_set():
            ScaledNetworkClassifier(Dropping, **FAST).fit(X, y)
            ScaledMLPClassifier(**FAST).fit(X, y)
            predict_all(pickle.loads(read), X)

    def work():
        assert_equal(predict_all(fitted, X), expected)
        assert_equal(predict_all(pickle.loads(read), X), expected)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        for _ in range(8):
            time.sleep(0.02)
            assert in_a_child(work) == 0
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def held_up(events, function):
    """Run in a thread, which goes on a little after this block has been entered."""
    events.entered.clear()
    events.leave.clear()
    thread = threading.Thread(target=function)
    thread.start()
    assert events.entered.wait(LIMIT)
    timer = threading.Timer(0.3, events.leave.set)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        thread.join()


@needs_fork
def test_a_child_has_the_former_state_of_torchs_generator(digits):
    X, y = digits[0][:300], digits[1][:300]
    halting = ScaledNetworkClassifier(Halting, **FAST).fit(X, y)
    other = ScaledNetworkClassifier(Dropping, **FAST).fit(X, y)
    expected, state = other.predict(X), torch.get_rng_state()

    def work():
        assert torch.equal(torch.get_rng_state(), state)
        np.testing.assert_array_equal(other.predict(X), expected)
        np.testing.assert_array_equal(halting.predict(X).shape, (300,))

    with held_up(Halting, lambda: halting.predict(X[:7])):
        assert in_a_child(work) == 0
    assert torch.equal(torch.get_rng_state(), state)


@needs_fork
def test_a_child_does_not_wait_for_labels_that_a_thread_of_its_parent_was_making(digits):
    X, y = digits[0][:300], digits[1][:300]

    def fit():
        ScaledMLPClassifier(
            teacher=SlowTeacher(), distillation=Distillation(cv=None), **FAST
        ).fit(X, y)

    with held_up(SlowTeacher, fit):
        assert in_a_child(fit) == 0


@needs_fork
def test_a_child_of_a_fused_job_is_none_itself(digits):
    X, y = digits[0][:200], digits[1][:200]

    def score(estimator, X, y):
        def work():
            ScaledMLPClassifier(width=8, **FAST).fit(X, y)

        return in_a_child(work)

    with joblib.parallel_config(backend="skscale"):
        found = cross_val_score(ScaledMLPClassifier(width=8, **FAST), X, y, scoring=score, cv=2)
    assert found.tolist() == [0, 0]
