"""X as it comes: kinds, dtypes, copies, columns far from zero."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.exceptions import NotFittedError

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.training.task import Task

FAST = {"max_epochs": 2, "random_state": 0}


@pytest.fixture
def task_of(monkeypatch):
    """Return the Task that a fit describes."""
    from skscale.fusion import rendezvous as fusion

    def describe(estimator, *arguments):
        seen = []

        def train(tasks):
            seen.extend(tasks)
            return real(tasks)

        real = fusion.train
        with monkeypatch.context() as patch:
            patch.setattr(fusion, "train", train)
            estimator.fit(*arguments)
        (task,) = seen
        assert isinstance(task, Task)
        return task

    return describe


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        pd.DataFrame,
        pl.DataFrame,
        np.asfortranarray,
        lambda X: X[::-1][::-1],
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.astype(">f8"),
        lambda X: X.astype(np.longdouble),
    ],
    ids=["list", "pandas", "polars", "fortran", "reversed", "strided", "big-endian", "long"],
)
def test_all_kinds_of_dense_input_give_one_result(Estimator, small, convert):
    X, y = small
    X = X.astype(np.float64)
    expected = Estimator(**FAST).fit(X, y)
    fitted = Estimator(**FAST).fit(convert(X), y)
    np.testing.assert_array_equal(fitted.coefs_[0], expected.coefs_[0])
    np.testing.assert_array_equal(fitted.predict(convert(X)), expected.predict(X))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, bool, np.int64, np.int32])
def test_small_numbers_of_any_dtype_give_one_result(digits, dtype):
    X, y = (digits[0] > 0.5).astype(dtype), digits[1]
    expected = ScaledMLPClassifier(**FAST).fit(X.astype(np.float32), y)
    fitted = ScaledMLPClassifier(**FAST).fit(X, y)
    np.testing.assert_array_equal(fitted.coefs_[0], expected.coefs_[0])


RAW = {"preprocessing": None, **FAST}


def test_raw_float32_is_not_copied_and_float64_once(digits, task_of):
    X, y = digits
    task = task_of(ScaledMLPClassifier(**RAW), X, y)
    assert np.shares_memory(task.X, X)
    assert task_of(ScaledMLPClassifier(**RAW), X.astype(np.float64), y).X.dtype == np.float32
    double = X.astype(np.float64)
    task = task_of(ScaledMLPClassifier(precision="float64", **RAW), double, y)
    assert np.shares_memory(task.X, double)


def test_memory_mapped_and_read_only_arrays_are_used_as_they_are(tmp_path, digits, task_of):
    X, y = digits
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    read_only = X.copy()
    read_only.flags.writeable = False
    expected = ScaledMLPClassifier(**RAW).fit(X, y)
    for given in (mapped, read_only):
        fitted = ScaledMLPClassifier(**RAW)
        assert np.shares_memory(task_of(fitted, given, y).X, given)
        np.testing.assert_array_equal(fitted.coefs_[0], expected.coefs_[0])
        np.testing.assert_array_equal(fitted.predict(given), expected.predict(X))


def test_input_is_never_written_to(Estimator, small):
    X, y = small
    before = X.copy(), y.copy()
    Estimator(dropout=0.1, **FAST).fit(X, y).predict(X)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_feature_names_are_stored_and_checked(digits):
    X, y = digits
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    fitted = ScaledMLPClassifier(**FAST).fit(frame, y)
    np.testing.assert_array_equal(fitted.feature_names_in_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(frame[["b", "a", "c"]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.predict(X[:, :3])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.inf, "infinity"),
        (1e300, "too large for dtype"),
        (-1e39, "too large"),
    ],
)
def test_values_that_no_float32_holds_are_refused(Estimator, small, bad, message):
    X, y = small
    X = X.astype(np.float64)
    fitted = Estimator(**FAST).fit(X, y)
    X[3, 2] = bad
    with pytest.raises(ValueError, match=message):
        Estimator(**FAST).fit(X, y)
    with pytest.raises(ValueError, match=message):
        fitted.predict(X)


def test_an_unfitted_estimator_raises_not_fitted_error(Estimator, small):
    with pytest.raises(NotFittedError):
        Estimator().predict(small[0])
    for name in ("loss_curve_", "validation_scores_", "complexity_", "net_"):
        assert not hasattr(Estimator(), name)
        with pytest.raises(NotFittedError):
            getattr(Estimator(), name)


def test_time_stamps_are_centred_in_float64_before_the_cast():
    rng = np.random.default_rng(0)
    seconds = rng.uniform(0, 100, 500)
    y = np.sin(seconds / 15)
    stamps = np.column_stack([seconds + 1.7e9, rng.standard_normal(500)])
    fitted = ScaledMLPRegressor(random_state=0, max_epochs=300, learning_rate=0.01).fit(
        stamps, y
    )
    assert fitted.score(stamps, y) > 0.7
    # As floats of 32 bits the stamps are multiples of 128 seconds.
    assert len(np.unique(stamps[:, 0].astype(np.float32))) <= 2


def test_float32_time_stamps_are_warned_of_with_the_remedy():
    rng = np.random.default_rng(0)
    X = (rng.uniform(0, 1000, (200, 1)) + 1.7e8).astype(np.float32)
    with pytest.warns(UserWarning, match=r"Column 0 of X .* Pass X as float64"):
        ScaledMLPRegressor(max_epochs=1, random_state=0).fit(X, np.arange(200.0))


def test_ordinary_and_constant_columns_are_not_warned_of():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.standard_normal(500), np.ones(500), 50 + rng.standard_normal(500)])
    fitted = ScaledMLPRegressor(**FAST).fit(X.astype(np.float32), X[:, 0])
    np.testing.assert_array_equal(fitted.encode(X)[:, 1], 0)
