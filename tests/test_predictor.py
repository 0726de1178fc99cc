"""The short way of a plain array gives what the long way would have given."""

import contextlib
import threading

import numpy as np
import pytest
from sklearn.base import clone

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.inference import columns
from skscale.inference.inputs import Inputs, TableInputs


@pytest.fixture
def fitted(Estimator, small):
    return Estimator(width=24, max_epochs=5, random_state=0).fit(*small)


def methods(estimator):
    names = ("predict", "predict_proba", "predict_log_proba", "decision_function")
    return [getattr(estimator, name) for name in names if hasattr(estimator, name)]


@pytest.mark.parametrize("n_rows", [1, 7, 256, 257, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f8"])
def test_both_ways_give_the_same_bits(fitted, small, n_rows, dtype, monkeypatch):
    X = np.resize(small[0], (n_rows, small[0].shape[1])).astype(dtype)
    short = [method(X) for method in methods(fitted)]
    taken = []

    def check(*args):
        taken.append(args)
        return check_finite(*args)

    check_finite = columns.check_finite
    monkeypatch.setattr(columns, "check_finite", check)
    monkeypatch.setattr(columns, "_LARGEST_SQUARES", -1)
    monkeypatch.setattr(TableInputs, "transform", Inputs.transform)
    for method, expected in zip(methods(fitted), short, strict=True):
        got = method(X)
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert len(taken) == len(short)


@pytest.mark.parametrize("layout", ["F", "strided", "backwards", "read-only"])
def test_the_layout_of_the_rows_does_not_matter(fitted, small, layout):
    X = small[0]
    given = {
        "F": lambda: np.asfortranarray(X),
        "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
        "backwards": lambda: X[::-1].copy()[::-1],
        "read-only": lambda: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    }[layout]()
    before = given.copy()
    for method in methods(fitted):
        expected = method(X)
        np.testing.assert_allclose(method(given), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize(
    "rows",
    [
        [[0.5] * 3],
        np.full((1, 3), 2),
        np.full((1, 3), 0.5, np.float16),
        np.full((1, 4), 0.5),
        np.full(3, 0.5),
        np.empty((0, 3)),
        np.ma.MaskedArray(np.ones((1, 3))),
        np.array([[0.5, np.nan, 0.5]]),
        np.array([[0.5, np.inf, -np.inf]]),
        np.array([[1e39, 0, 0]]),
        np.array([[1e30, 0, 0]], dtype=np.float32),  # its square is too large to tell
    ],
    ids=str,
)
def test_everything_else_is_validated(rows, monkeypatch):
    inputs, *numbers = TableInputs.fit(np.zeros((1, 3)), "it")
    options = {"preprocessing": "auto", "n_bins": 0}
    inputs = inputs.fit_encoding(*numbers, np.arange(1), None, np.float32, **options)
    long_way = []

    def spy(function):
        def spied(*args, **options):
            long_way.append(function)
            return function(*args, **options)

        return spied

    monkeypatch.setattr(TableInputs, "read", spy(TableInputs.read))
    monkeypatch.setattr(columns, "check_finite", spy(columns.check_finite))
    inputs.transform(np.full((1, 3), 0.5), np.float32)
    assert not long_way
    with contextlib.suppress(ValueError):
        inputs.transform(rows, np.float32)
    assert long_way


def test_one_row_is_predicted_as_it_is_among_others(fitted, small):
    X = small[0].astype(np.float64)
    for method in methods(fitted):
        together = method(X).astype(float)
        alone = np.concatenate([method(X[i : i + 1]) for i in range(len(X))])
        np.testing.assert_allclose(alone, together, rtol=1e-5, atol=1e-6)


def test_a_prediction_is_the_callers_to_write_to(fitted, small):
    X = small[0]
    first = fitted.predict(X[:1])
    kept = first.copy()
    first[...] = 0
    np.testing.assert_array_equal(fitted.predict(X[:1]), kept)


def test_four_threads_predict_the_same_as_one(fitted, small):
    X = small[0]
    rows = [X[:1], X[:50], X, np.tile(X, (5, 1))]
    expected = [[method(part) for method in methods(fitted)] for part in rows]
    wrong = []

    def work(part, outcomes):
        for _ in range(100):
            for method, outcome in zip(methods(fitted), outcomes, strict=True):
                if not np.array_equal(method(part), outcome):
                    wrong.append(part.shape)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(rows, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_float64_weights_and_float32_rows_and_the_reverse(digits, diabetes):
    for Estimator, (X, y) in ((ScaledMLPClassifier, digits), (ScaledMLPRegressor, diabetes)):
        double = Estimator(precision="float64", max_epochs=2, random_state=0).fit(X, y)
        single = clone(double).set_params(precision="float32").fit(X, y)
        for rows in (X[:300].astype(np.float32), X[:300].astype(np.float64)):
            a, b = methods(double)[-1](rows), methods(single)[-1](rows)
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
