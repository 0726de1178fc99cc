"""What bad input gets, and what must be taken: class and gist of each error.

Whatever happens, a fitted estimator is left as it was.
"""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError

from skscale import ScaledMLPClassifier, ScaledMLPRegressor

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

N, D = 60, 4
X = np.random.default_rng(0).standard_normal((N, D))
LABELS = np.arange(N) % 2
NUMBERS = X @ [1.0, 2.0, 3.0, 4.0]
DAYS = np.datetime64("2020-01-01") + np.arange(N)
FRAME = pd.DataFrame(X, columns=list("abcd"))


def target(Estimator):
    return LABELS if Estimator is ScaledMLPClassifier else NUMBERS


def with_value(value, dtype=np.float64):
    changed = X.astype(dtype)
    changed[3, 1] = value
    return changed


def with_column(values):
    return FRAME.assign(a=values)


@pytest.fixture(scope="module")
def fitted_on():
    """A fitted estimator of each kind, on the array and on the frame."""
    return {
        (Estimator, named): Estimator(width=8, max_epochs=2, random_state=0).fit(
            FRAME if named else X, target(Estimator)
        )
        for Estimator in (ScaledMLPClassifier, ScaledMLPRegressor)
        for named in (False, True)
    }


@pytest.fixture
def fitted(fitted_on, Estimator):
    return fitted_on[Estimator, False]


def refuse(fitted, call, error, message):
    """Call must raise, and change nothing."""
    before = dict(vars(fitted))
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, error)
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())


# (value, error, gist), made anew each time.
BAD_X = {
    "2 inf": (lambda: with_value(np.inf), ValueError, "contains infinity or a value too large"),
    "3 -inf": (lambda: with_value(-np.inf), ValueError, "contains infinity or a value too"),
    "4 1e300": (lambda: with_value(1e300), ValueError, "too large for dtype.'float32'"),
    "6 1-D": (lambda: X[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "7 scalar": (lambda: 3.0, ValueError, "Expected 2D array, got scalar"),
    "8 None": (lambda: None, ValueError, "X is None. Expected an array"),
    "9 3-D": (lambda: X[:, :, None], ValueError, "Found array with dim 3"),
    "10 no row": (lambda: X[:0], ValueError, "0 sample"),
    "11 no feature": (lambda: X[:, :0], ValueError, "0 feature"),
    "12 ragged": (lambda: [[1.0, 2.0], [3.0]] * 30, ValueError, "inhomogeneous"),
    "13 text": (
        lambda: with_value("foo", object), ValueError, "could not convert string to float"
    ),
    "14 dict": (lambda: with_value({}, object), TypeError, "not 'dict'"),
    "17 complex": (lambda: X + 1j, ValueError, "Complex data not supported"),
    "18 structured": (
        lambda: np.zeros(N, dtype=[("a", float), ("b", float)]), TypeError, "Cannot cast"
    ),
    "19 datetime64": (lambda: np.stack([DAYS] * D, 1), TypeError, "holds times.*Expected num"),
    "19 timedelta64": (
        lambda: np.stack([DAYS - DAYS[0]] * D, 1), TypeError, "holds times.*Expected num"
    ),
    "20 NaT": (
        lambda: np.full((N, D), np.datetime64("NaT")), ValueError, r"missing times \(NaT\)"
    ),
    "21 generator": (lambda: (row for row in X), TypeError, "read but once.*pass list"),
    "22 str": (lambda: "hello", ValueError, "could not convert string to float"),
    "23 np.matrix": (lambda: np.asmatrix(X), TypeError, "np.matrix is not supported"),
    "24 masked": (lambda: np.ma.MaskedArray(X, X > 1), ValueError, "masked array.*fill them"),
    "28 sparse NaN": (lambda: sp.csr_array(with_value(np.nan)), ValueError, "contains NaN"),
    "28 sparse 1e300": (
        lambda: sp.csr_array(with_value(1e300)), ValueError, "too large for dtype.'float32'"
    ),
    "29 1-D sparse": (lambda: sp.coo_array(X[:, 0]), ValueError, "Expected 2D input"),
    "34 datetimes": (lambda: with_column(DAYS), TypeError, "Column 'a' of X holds times"),
    "34 of polars": (
        lambda: pl.DataFrame(
            {"a": DAYS.astype("datetime64[us]"), **dict.fromkeys("bcd", X[:, 0])}
        ),
        TypeError,
        "Column 'a' of X holds times",
    ),
    "35 names of two types": (
        lambda: pd.DataFrame(X, columns=["a", 1, "b", 2]), TypeError, "string names"
    ),
    "36 a name twice": (
        lambda: pd.DataFrame(X, columns=list("abac")), ValueError, "two columns.*'a'"
    ),
}  # fmt: skip


# A frame where the estimator knows no names warns before it raises.
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("case", BAD_X)
def test_bad_features_in_fit_partial_fit_and_predict(Estimator, fitted, case):
    make, error, message = BAD_X[case]
    y = target(Estimator)
    message = f"(?s){message}"
    refuse(fitted, lambda: fitted.fit(make(), y), error, message)
    refuse(
        fitted, lambda: fitted.partial_fit(make(), y), error, f"{message}|features|it scales"
    )
    refuse(fitted, lambda: fitted.fit(X, y, X_val=make(), y_val=y), error,
           f"{message}|features|X_val is not prov|y_val is provided")  # fmt: skip
    if not case.startswith("36"):
        refuse(fitted, lambda: fitted.predict(make()), error, f"{message}|features")
    with pytest.raises(error, match=message):
        clone(fitted).fit(make(), y)


@pytest.mark.filterwarnings("ignore:overflow")
def test_5_what_nearly_overflows_ends_finite_or_raises(Estimator, fitted):
    try:
        network = clone(fitted).fit(with_value(3e38, np.float32), target(Estimator))
    except ValueError as error:
        assert "not finite" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(network.predict(X)).all()


def test_30_integers_without_room_in_a_float_are_warned_of(Estimator, fitted):
    large = 2**60 + np.arange(N * D).reshape(N, D)
    for given in (
        large,
        large.astype(np.uint64),
        sp.csr_array(large),
        with_column(large[:, 0]),
    ):
        with pytest.warns(UserWarning, match=r"beyond 2\*\*53.*leave identifiers out"):
            clone(fitted).fit(given, target(Estimator))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(fitted).fit(np.full((N, D), 2**53) - np.abs(X.astype(int)), target(Estimator))


TAKEN = {
    "16 numeric strings": lambda: X.astype(str),
    "25 requires grad": lambda: torch.tensor(X, requires_grad=True),
    "27 int64 indices": lambda: _long_indices(sp.csr_array(X)),
    "37 read-only": lambda: _read_only(X),
    "38 Fortran": lambda: np.asfortranarray(X),
    "38 strided": lambda: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "39 negative strides": lambda: X[::-1, ::-1].copy()[::-1, ::-1],
    "40 big-endian": lambda: X.astype(">f8"),
    "42 lists": lambda: X.tolist(),
    "42 tuples": lambda: tuple(map(tuple, X)),
    "43 long double": lambda: X.astype(np.longdouble),
    "44 CPU tensor": lambda: torch.tensor(X),
    "24 masked without mask": lambda: np.ma.MaskedArray(X),
}


def _long_indices(rows):
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("case", TAKEN)
def test_what_must_be_taken_is(Estimator, fitted, case):
    if case.startswith("27"):  # sparse: taken as it is
        fitted = clone(fitted).set_params(preprocessing=None).fit(X, target(Estimator))
    network = clone(fitted).fit(TAKEN[case](), target(Estimator))
    for a, b in zip(network.coefs_, fitted.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        network.predict(TAKEN[case]()).astype(float), fitted.predict(X), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("dtype", [np.float16, np.uint8, bool])
def test_41_small_dtypes_are_taken(Estimator, fitted, dtype):
    given = np.abs(X * 10).astype(dtype)
    network = clone(fitted).fit(given, target(Estimator))
    expected = clone(fitted).fit(given.astype(np.float32), target(Estimator))
    np.testing.assert_array_equal(network.predict(given), expected.predict(given))


CLASSIFIER, REGRESSOR = (ScaledMLPClassifier,), (ScaledMLPRegressor,)
BOTH = CLASSIFIER + REGRESSOR
BAD_Y = {
    "45 length": (BOTH, lambda: LABELS[:5], ValueError, "inconsistent numbers of samples"),
    "46 None": (BOTH, lambda: None, ValueError, "requires y to be passed"),
    "47 continuous": (CLASSIFIER, lambda: NUMBERS, ValueError, "Unknown label type"),
    "48 NaN": (BOTH, lambda: np.where(LABELS, np.nan, 0), ValueError, "y contains NaN"),
    "48 NaN among objects": (
        REGRESSOR, lambda: np.array([None, 1.0] * 30, dtype=object), ValueError, "contains NaN"
    ),
    "49 inf": (BOTH, lambda: np.where(LABELS, np.inf, 0), ValueError, "y contains infinity"),
    "50 None among strings": (
        CLASSIFIER,
        lambda: np.array(["a", None] * 30, dtype=object),
        ValueError,
        r"Unknown label type.*\(NoneType, str\)",
    ),
    "51 strings among ints": (
        CLASSIFIER,
        lambda: np.array(["a", 1] * 30, dtype=object),
        ValueError,
        r"labels of several types \(int, str\).*astype\(str\)",
    ),
    "54 3-D": (BOTH, lambda: np.zeros((N, 2, 2)), ValueError, "Found array with dim 3"),
    "56 complex": (BOTH, lambda: LABELS + 1j, ValueError, "Complex data not supported"),
    "57 a single class": (CLASSIFIER, lambda: np.zeros(N), ValueError, r"1 class only \(0.0\)"),
    "59 Int64 with NA": (
        BOTH,
        lambda: pd.Series([pd.NA] + [0, 1] * 29 + [1], dtype="Int64"),
        ValueError,
        "y contains NaN",
    ),
    "60 strings": (
        REGRESSOR, lambda: np.array(["a", "b"] * 30), ValueError, "use ScaledMLPClassifier"
    ),
    "60 times": (REGRESSOR, lambda: DAYS, ValueError, "turn times into numbers"),
    "61 1e300": (REGRESSOR, lambda: LABELS * 1e300, ValueError, "too large.*divide y by"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_Y)
def test_bad_targets(Estimator, fitted, case):
    estimators, make, error, message = BAD_Y[case]
    if Estimator not in estimators:
        pytest.skip("not for this one")
    message = f"(?s){message}"
    refuse(fitted, lambda: fitted.fit(X, make()), error, message)
    if not case.startswith("57"):  # in a piece of a stream it is fine
        also = "|classes not in|as many columns|one column of labels"
        refuse(fitted, lambda: fitted.partial_fit(X, make()), error, message + also)
    if make() is not None and np.ndim(make()) == 1 and not case.startswith(("45", "57")):
        refuse(
            fitted,
            lambda: fitted.fit(X, target(Estimator), X_val=X, y_val=make()),
            error,
            message + "|classes not in",
        )


def test_52_to_55_and_58_shapes_of_y(Estimator, fitted):
    y = target(Estimator)
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = clone(fitted).fit(X, y[:, None])
    np.testing.assert_array_equal(column.predict(X), fitted.predict(X))
    if Estimator is ScaledMLPClassifier:
        one_hot = np.eye(2, dtype=int)[y]
        for given in (one_hot, sp.csr_array(one_hot)):
            assert clone(fitted).fit(X, given).predict(X).shape == (N, 2)
    refuse(fitted, lambda: fitted.fit(X[:1], y[:1]), ValueError, r"1 sample.*minimum of 2")
    assert fitted.predict(X).shape == (N,)  # 62


@pytest.mark.parametrize(
    "labels",
    [["no", "yes"], [False, True], [-1, 1], [3, 7], [0.0, 1.0]],
    ids=["63 str", "64 bool", "65 -1 and 1", "66 3 and 7", "67 0.0 and 1.0"],
)
def test_labels_come_back_in_their_dtype(labels):
    y = np.array(labels)[LABELS]
    predicted = ScaledMLPClassifier(max_epochs=2, random_state=0).fit(X, y).predict(X)
    assert predicted.dtype == y.dtype
    assert set(predicted.tolist()) <= set(labels)


def test_68_a_series_counts_by_position(Estimator, fitted):
    y = pd.Series(target(Estimator), index=np.arange(N)[::-1])
    np.testing.assert_array_equal(clone(fitted).fit(X, y).predict(X), fitted.predict(X))


METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"]
BAD_ROWS = {
    "70 inf": (lambda: with_value(-np.inf), "contains infinity"),
    "71 fewer features": (lambda: X[:, :3], r"X has 3 features, but Scaled\w+ is expecting 4"),
    "72 more features": (lambda: np.hstack([X, X]), "X has 8 features, but"),
    "73 1-D": (lambda: X[0], "Reshape your data"),
    "74 empty": (lambda: X[:0], "0 sample"),
    "74 empty and sparse": (lambda: sp.csr_array(X[:0]), "0 sample"),
    "76 1e300": (lambda: with_value(1e300), "too large"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("method", METHODS)
def test_bad_rows_in_every_method(Estimator, fitted, method, case):
    if not hasattr(fitted, method):
        pytest.skip("a classifier's")
    make, message = BAD_ROWS[case]
    y = (target(Estimator),) if method == "score" else ()
    refuse(fitted, lambda: getattr(fitted, method)(make(), *y), ValueError, message)


@pytest.mark.parametrize("method", METHODS)
def test_75_unfitted(Estimator, method):
    if not hasattr(Estimator, method):
        pytest.skip("a classifier's")
    y = (target(Estimator),) if method == "score" else ()
    with pytest.raises(NotFittedError, match="fit"):
        getattr(Estimator(), method)(X, *y)
    for attribute in ("loss_curve_", "complexity_", "net_"):
        with pytest.raises((NotFittedError, AttributeError)):
            getattr(Estimator(), attribute)


@pytest.mark.parametrize("rows", [X, X[:1], FRAME, sp.csr_array(X)], ids=lambda r: str(type(r)))
def test_77_weights_that_are_not_finite_never_predict(Estimator, fitted, rows):
    broken = clone(fitted).fit(rows if len(X) == rows.shape[0] else X, target(Estimator))
    for value in (np.nan, np.inf):
        broken.coefs_ = [c.copy() for c in fitted.coefs_]
        broken.coefs_[-1][:] = value
        with pytest.raises(ValueError, match="output is not finite"):
            broken.predict(rows)


def test_78_to_80_names_of_features(Estimator, fitted_on):
    named, unnamed = fitted_on[Estimator, True], fitted_on[Estimator, False]
    for rows in (FRAME[list("dcba")], FRAME.rename(columns={"a": "z"})):
        refuse(named, lambda rows=rows: named.predict(rows), ValueError, "names should match")
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        named.predict(X)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        unnamed.predict(FRAME)


BAD_WEIGHTS = {
    "81 all zero": (lambda: np.zeros(N), "at least one non-zero"),
    "82 NaN": (lambda: np.full(N, np.nan), "sample_weight contains NaN"),
    "83 inf": (lambda: np.full(N, np.inf), "sample_weight contains infinity"),
    "84 length": (lambda: np.ones(5), r"\(5,\), expected \(60,\)"),
    "85 2-D": (lambda: np.ones((N, 1)), "1D array or scalar, got 2D"),
    "86 strings": (lambda: ["a"] * N, "could not convert string"),
    "87 negative": (lambda: -np.ones(N), "Negative values.*sample_weight"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights(Estimator, fitted, case):
    make, message = BAD_WEIGHTS[case]
    y = target(Estimator)
    for fit in (
        lambda: fitted.fit(X, y, sample_weight=make()),
        lambda: fitted.partial_fit(X, y, sample_weight=make()),
        lambda: fitted.fit(X, y, X_val=X, y_val=y, sample_weight_val=make()),
    ):
        refuse(fitted, fit, ValueError, message)


def test_88_a_class_without_weight_stays_finite():
    y = np.arange(N) % 3
    network = ScaledMLPClassifier(max_epochs=3, random_state=0)
    network.fit(X, y, sample_weight=(y != 1).astype(float))
    assert np.isfinite(network.predict_proba(X)).all()


@pytest.mark.parametrize("factor", [1e30, 1e-30])
def test_89_only_ratios_of_weights_matter(Estimator, fitted, factor):
    weights = np.random.default_rng(0).uniform(1, 2, N)
    network = clone(fitted).set_params(precision="float64")
    one = clone(network).fit(X, target(Estimator), weights).predict(X)
    other = clone(network).fit(X, target(Estimator), weights * factor).predict(X)
    np.testing.assert_allclose(one, other)


BAD_CLASS_WEIGHTS = {
    "90 a word": ("foo", InvalidParameterError, "class_weight"),
    "91 unknown class": ({0: 1.0, 7: 1.0}, ValueError, "not in class_weight"),
    "92 negative": ({0: -1.0, 1: 1.0}, ValueError, "finite numbers from 0"),
    "92 NaN": ({0: np.nan, 1: 1.0}, ValueError, "finite numbers from 0"),
}


@pytest.mark.parametrize("case", BAD_CLASS_WEIGHTS)
def test_bad_class_weights(fitted_on, case):
    fitted = clone(fitted_on[ScaledMLPClassifier, False]).fit(X, LABELS)
    class_weight, error, message = BAD_CLASS_WEIGHTS[case]
    fitted.set_params(class_weight=class_weight)
    refuse(fitted, lambda: fitted.fit(X, LABELS), error, message)


def test_93_a_class_weight_of_zero_is_taken():
    y = np.arange(N) % 3
    network = ScaledMLPClassifier(max_epochs=2, class_weight={0: 0.0, 1: 1.0, 2: 1.0})
    assert len(network.fit(X, y).classes_) == 3


# 94 to 97 are in test_partial_fit, 98 in test_estimators.

BAD_PARAMETERS = [
    {"width": 0}, {"width": -1}, {"width": 8.5}, {"width": "wide"}, {"depth": -1},
    {"depth": 1.5}, {"learning_rate": 0}, {"learning_rate": np.nan}, {"weight_decay": -1},
    {"l1": -1}, {"dropout": 1.0}, {"batch_size": 0}, {"max_epochs": 0}, {"max_seconds": 0},
    {"activation": "foo"}, {"normalization": "batch"}, {"validation_fraction": 1.5},
    {"n_iter_no_change": 0}, {"tol": -1}, {"precision": "float16"}, {"lr_schedule": "foo"},
    {"random_state": "foo"}, {"early_stopping": "yes"}, {"warm_start": 2},
]  # fmt: skip
BAD_OF_ONE = {
    ScaledMLPClassifier: [{"label_smoothing": 1.0}, {"label_smoothing": -0.1}],
    ScaledMLPRegressor: [
        {"loss": "foo"}, {"quantile": 0}, {"quantile": 1}, {"huber_delta": 0},
    ],
}  # fmt: skip


def test_99_and_100_parameters_out_of_range_are_named(Estimator):
    for parameters in BAD_PARAMETERS + BAD_OF_ONE[Estimator]:
        (name,) = parameters
        network = Estimator(**parameters)
        for fit in (network.fit, network.partial_fit):
            with pytest.raises(InvalidParameterError, match=f"The '{name}' parameter"):
                fit(X, target(Estimator))


def test_101_an_unknown_parameter_is_refused_with_the_known_ones(fitted):
    message = re.escape("Invalid parameter 'depht' for estimator")
    refuse(fitted, lambda: fitted.set_params(depht=3), ValueError, message)
