"""What bad input gets, and what must be taken: class and gist of each error.

A case begins with the number of what it shows, 1 to 101. `over` runs it with each of SUBJECTS
that it applies to, and the last test sees that nothing is left out but what DOES_NOT_APPLY
names, with the reason. Whatever happens, a fitted estimator is left as it was.

Elsewhere: frozen predictors in test_frozen, changed files in test_files, threads and forks in
test_predictor, processes and Ctrl-C in them in test_estimators.
"""

import copy
import functools
import pickle
import re
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn

import skscale
from skscale import (
    Distillation,
    GradualScaleSearchCV,
    Pruning,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    ScaledNetworkRegressor,
)
from skscale.fusion import rendezvous as fusion

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

N, D = 60, 4  # to convolutional networks images of two pixels by two
X = np.random.default_rng(0).standard_normal((N, D))
LABELS = np.arange(N) % 2
THREE = np.arange(N) % 3
NUMBERS = X @ [1.0, 2.0, 3.0, 4.0]
DAYS = np.datetime64("2020-01-01") + np.arange(N)
FRAME = pd.DataFrame(X, columns=list("abcd"))


class Net(nn.Module):
    """A network of the user's own."""

    def __init__(self, n_features, n_outputs, width=8):
        super().__init__()
        self.hidden = nn.Linear(n_features, width)
        self.output = nn.Linear(width, n_outputs)

    def forward(self, x):
        return self.output(torch.relu(self.hidden(x.flatten(1))))


@dataclass(frozen=True)
class Subject:
    """An estimator under test."""

    family: str
    estimator: Any

    @property
    def is_search(self):
        return isinstance(self.estimator, GradualScaleSearchCV)

    @property
    def network(self):
        return self.estimator.estimator if self.is_search else self.estimator

    @property
    def classifies(self):
        return hasattr(self.network, "class_weight")

    @property
    def predicts(self):
        return "Classifier" if self.classifies else "Regressor"

    @property
    def y(self):
        return LABELS if self.classifies else NUMBERS

    def make(self, **parameters):
        """Return a new one with other parameters of the network."""
        if self.is_search and "width" in parameters:
            return clone(self.estimator).set_params(scales={"width": [parameters["width"]]})
        prefix = "estimator__" if self.is_search else ""
        changed = {f"{prefix}{name}": value for name, value in parameters.items()}
        return clone(self.estimator).set_params(**changed)

    def __str__(self):
        return f"{self.family} {self.predicts}"


FAST = {"max_epochs": 2, "random_state": 0}
SUBJECTS = [
    *(
        Subject(family, Estimator(*module, **parameters, **FAST))
        for family, pair, module, parameters in (
            ("MLP", (ScaledMLPClassifier, ScaledMLPRegressor), (), {"width": 8}),
            (
                "raw MLP",
                (ScaledMLPClassifier,),
                (),
                {"width": 8, "preprocessing": None, "categorical_features": None},
            ),
            (
                "CNN",
                (ScaledCNNClassifier, ScaledCNNRegressor),
                (),
                {"width": 4, "augmentation": None, "batch_size": 30},
            ),
            (
                "own network",
                (ScaledNetworkClassifier, ScaledNetworkRegressor),
                (Net,),
                {"width": 8},
            ),
        )
        for Estimator in pair
    ),
    *(
        Subject(
            "search",
            GradualScaleSearchCV(
                Estimator(depth=1, max_epochs=1, random_state=0),
                {"width": [4]},
                cv=2,
                error_score="raise",
            ),
        )
        for Estimator in (ScaledMLPClassifier, ScaledMLPRegressor)
    ),
]

_TAKES_MISSING = "missing values are taken: test_encoding"
_TAKES_WORDS = "categories and words are taken: test_encoding"
_TAKES_SPARSE = "sparse X is taken: 27 to 29"
_NO_SPARSE = "all sparse X is refused: 26"
_NO_CLASSES = "numbers have no classes"
_NO_NUMBERS = "labels are no numbers"
_NO_STREAM = "a search has no partial_fit and no warm start"
# Numbers and cases that do not apply, by the family or what is predicted, and why.
DOES_NOT_APPLY = {
    "MLP": {
        **dict.fromkeys((1, 15, 31, 69), _TAKES_MISSING),
        **dict.fromkeys((32, 33), _TAKES_WORDS),
        26: _TAKES_SPARSE,
    },
    # Which is to refuse what was not missing in fit: 69.
    "raw MLP": {**dict.fromkeys((1, 15, 31), _TAKES_MISSING), 26: _TAKES_SPARSE},
    "CNN": {
        **dict.fromkeys((27, 28, 29), _NO_SPARSE),
        "9 3-D": "images without channels are",
    },
    "own network": {
        **dict.fromkeys((27, 28, 29), _NO_SPARSE),
        9: "samples may have any number of dimensions",
    },
    "search": {
        **dict.fromkeys((1, 15, 31, 69), _TAKES_MISSING),
        **dict.fromkeys((32, 33), _TAKES_WORDS),
        26: _TAKES_SPARSE,
        **dict.fromkeys(range(94, 99), _NO_STREAM),
    },
    "Classifier": dict.fromkeys((60, 61), _NO_NUMBERS),
    "Regressor": dict.fromkeys(
        (47, 50, 51, 53, 55, 57, *range(63, 68), 88, *range(90, 97), 98), _NO_CLASSES
    ),
}
covered = set()


def number_of(case):
    return int(re.match(r"\d+", case)[0])


def applies(subject, *cases):
    kinds = subject.family, subject.predicts
    return not any(case in DOES_NOT_APPLY.get(kind, ()) for case in cases for kind in kinds)


def over(*cases):
    """Parametrise by each case and each of SUBJECTS that it applies to."""
    pairs = [(s, case) for case in cases for s in SUBJECTS if applies(s, case, number_of(case))]
    covered.update((str(subject), number_of(case)) for subject, case in pairs)
    return pytest.mark.parametrize(
        ("subject", "case"), [pytest.param(s, case, id=f"{case}, {s}") for s, case in pairs]
    )


@functools.cache
def fitted_on(subject, named=False):
    return subject.make().fit(FRAME if named else X, subject.y)


@pytest.fixture
def fitted(subject):
    # A copy: what should have been refused and was not must not change the others' tests.
    return copy.copy(fitted_on(subject))


def refuse(fitted, call, error, message):
    """Call must raise, and change nothing."""
    before = dict(vars(fitted))
    with pytest.raises(error, match=f"(?s){message}") as caught:
        call()
    assert isinstance(caught.value, error)
    assert vars(fitted).keys() == before.keys()
    assert all(vars(fitted)[name] is value for name, value in before.items())


def with_value(value, dtype=np.float64):
    changed = X.astype(dtype)
    changed[3, 1] = value
    return changed


def with_column(values):
    return FRAME.assign(a=values)


def predicted(fitted, rows):
    return fitted.predict(rows).astype(float)


# X in fit: (value, error, gist), made anew each time.
BAD_X = {
    "1 NaN": (lambda: with_value(np.nan), ValueError, "Input X contains NaN"),
    "2 inf": (lambda: with_value(np.inf), ValueError, "contains infinity or a value too large"),
    "3 -inf": (lambda: with_value(-np.inf), ValueError, "contains infinity or a value too"),
    "4 1e300": (lambda: with_value(1e300), ValueError, "too large for dtype.'float32'"),
    "6 1-D": (lambda: X[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "7 scalar": (lambda: 3.0, ValueError, "Expected 2D array, got scalar"),
    "8 None": (lambda: None, ValueError, "X is None. Expected an array"),
    "9 3-D": (lambda: X[:, :, None], ValueError, "Found array with dim 3"),
    "9 5-D": (lambda: X[:, :, None, None, None], ValueError, "Found array with dim 5"),
    "10 no row": (lambda: X[:0], ValueError, "0 sample"),
    "11 no feature": (lambda: X[:, :0], ValueError, "0 feature"),
    "12 ragged": (lambda: [[1.0, 2.0], [3.0]] * 30, ValueError, "inhomogeneous"),
    "13 text": (
        lambda: with_value("foo", object), ValueError, "could not convert string to float"
    ),
    "14 dict": (lambda: with_value({}, object), TypeError, "not 'dict'"),
    "15 None among objects": (
        lambda: with_value(None, object), ValueError, "Input X contains NaN"
    ),
    "17 complex": (lambda: X + 1j, ValueError, "Complex data not supported"),
    "18 structured": (
        lambda: np.zeros(N, dtype=[("a", float), ("b", float)]), TypeError, "structured array"
    ),
    "19 datetime64": (lambda: np.stack([DAYS] * D, 1), TypeError, "dates or times.*Expected"),
    "19 timedelta64": (
        lambda: np.stack([DAYS - DAYS[0]] * D, 1), TypeError, "dates or times.*Expected"
    ),
    "20 NaT": (
        lambda: np.full((N, D), np.datetime64("NaT")), ValueError, r"missing times \(NaT\)"
    ),
    "21 generator": (lambda: (row for row in X), TypeError, "read only once.*pass list"),
    "22 str": (lambda: "hello", ValueError, "could not convert string to float"),
    "23 np.matrix": (lambda: np.asmatrix(X), TypeError, "np.matrix is not supported"),
    "24 masked": (lambda: np.ma.MaskedArray(X, X > 1), ValueError, "masked array.*impute them"),
    "26 sparse": (lambda: sp.csr_array(X), TypeError, "Sparse data was passed"),
    "26 sparse and 1-D": (lambda: sp.coo_array(X[:, 0]), TypeError, "Sparse data was passed"),
    "28 sparse NaN": (lambda: sp.csr_array(with_value(np.nan)), ValueError, "contains NaN"),
    "28 sparse 1e300": (
        lambda: sp.csr_array(with_value(1e300)), ValueError, "too large for dtype.'float32'"
    ),
    "29 1-D sparse": (lambda: sp.coo_array(X[:, 0]), ValueError, "Expected 2D input"),
    "31 NA": (
        lambda: with_column(pd.array([pd.NA] + [1.0] * (N - 1), dtype="Float64")),
        ValueError,
        "Input X contains NaN",
    ),
    "32 words": (
        lambda: with_column(["foo", "bar"] * 30), ValueError, "could not convert string"
    ),
    "33 categories": (
        lambda: with_column(pd.Categorical(["foo", "bar"] * 30)),
        ValueError,
        "could not convert string",
    ),
    "34 datetimes": (lambda: with_column(DAYS), TypeError, "Column 'a' of X contains dates"),
    "34 of polars": (
        lambda: pl.DataFrame(
            {"a": DAYS.astype("datetime64[us]"), **dict.fromkeys("bcd", X[:, 0])}
        ),
        TypeError,
        "Column 'a' of X contains dates",
    ),
    "35 names of two types": (
        lambda: pd.DataFrame(X, columns=["a", 1, "b", 2]), TypeError, "string names"
    ),
    "36 a name twice": (
        lambda: pd.DataFrame(X, columns=list("abac")), ValueError, "two columns.*'a'"
    ),
}  # fmt: skip
# What other words a family has for it.
IN_OTHER_WORDS = {
    ("CNN", "9 5-D"): (ValueError, r"Expected X of shape .* got an array of shape \(60,"),
    # scikit-learn counts and splits the rows before any network sees them.
    ("search", "7 scalar"): (TypeError, "at least 1 dimension"),
    ("search", "8 None"): (
        TypeError,
        "Expected sequence or array-like, got <class 'NoneType'>",
    ),
    ("search", "10 no row"): (ValueError, r"inconsistent numbers of samples: \[0, 60\]"),
    ("search", "21 generator"): (TypeError, "at least 1 dimension.*generator"),
    ("search", "22 str"): (ValueError, r"inconsistent numbers of samples: \[5, 60\]"),
    ("search", "48 NaN"): (ValueError, "contains NaN"),
    ("search", "49 inf"): (ValueError, "contains infinity"),
    ("search", "59 Int64 with NA"): (ValueError, "contains NaN"),
}
# A fitted estimator may find the form of X wrong before its values.
OF_FITTED = "|features|it scales|(images|samples) of shape|X_val is not prov|y_val is provided"


def expected_of(subject, case, table):
    _, error, message = table[case]
    return IN_OTHER_WORDS.get((subject.family, case), (error, message))


# A frame where the estimator knows no names warns before it raises.
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.filterwarnings("ignore:the matrix subclass")
@over(*BAD_X)
def test_bad_features_in_fit_partial_fit_and_predict(subject, case, fitted):
    make, (error, message) = BAD_X[case][0], expected_of(subject, case, BAD_X)
    y = subject.y
    refuse(fitted, lambda: fitted.fit(make(), y), error, message)
    if not subject.is_search:
        refuse(fitted, lambda: fitted.partial_fit(make(), y), error, message + OF_FITTED)
        refuse(
            fitted,
            lambda: fitted.fit(X, y, X_val=make(), y_val=y),
            error,
            message + OF_FITTED,
        )
    new = subject.make()
    refuse(new, lambda: new.fit(make(), y), error, message)
    if subject.is_search:  # it predicts by a network
        _, error, message = BAD_X[case]
    if not case.startswith("36"):
        refuse(fitted, lambda: fitted.predict(make()), error, message + OF_FITTED)


@pytest.mark.filterwarnings("ignore:overflow")
@over("5 3e38")
def test_values_near_overflow_give_finite_predictions_or_an_error(subject, case):
    try:
        network = subject.make().fit(with_value(3e38, np.float32), subject.y)
    except ValueError as error:
        assert "not finite" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(network.predict(X)).all()


# A network without preprocessing gets them in float32: another warning, of its own.
@pytest.mark.filterwarnings("ignore:.*few digits left for the variation")
@over("30 large integers")
def test_integers_without_room_in_a_float_are_warned_of(subject, case):
    large = 2**60 + np.arange(N * D).reshape(N, D)
    given = [large, large.astype(np.uint64), with_column(large[:, 0])]
    if applies(subject, 27):
        given.append(sp.csr_array(large))
    for rows in given:
        with pytest.warns(UserWarning, match=r"beyond 2\*\*53.*drop identifiers"):
            subject.make().fit(rows, subject.y)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=r"(?s).*beyond 2\*\*53")
        subject.make().fit(np.full((N, D), 2**53) - np.abs(X.astype(int)), subject.y)


def _long_indices(rows):
    rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
    return rows


def _read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


TAKEN = {
    "16 numeric strings": lambda: X.astype(str),
    "24 masked without mask": lambda: np.ma.MaskedArray(X),
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
}


@over(*TAKEN)
def test_valid_containers_are_accepted(subject, case, fitted):
    if case.startswith("27"):  # sparse: taken as it is
        fitted = subject.make(preprocessing=None).fit(X, subject.y)
    network = clone(fitted).fit(TAKEN[case](), subject.y)
    np.testing.assert_allclose(
        predicted(network, TAKEN[case]()), predicted(fitted, X), rtol=1e-3, atol=1e-4
    )
    if hasattr(fitted, "coefs_"):
        for a, b in zip(network.coefs_, fitted.coefs_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


SMALL_DTYPES = {"41 float16": np.float16, "41 uint8": np.uint8, "41 bool": bool}


@over(*SMALL_DTYPES)
def test_small_dtypes_are_taken(subject, case):
    given = np.abs(X * 10).astype(SMALL_DTYPES[case])
    network = subject.make().fit(given, subject.y)
    expected = subject.make().fit(given.astype(np.float32), subject.y)
    np.testing.assert_allclose(
        predicted(network, given), predicted(expected, given), rtol=1e-4, atol=1e-5
    )


# y
BAD_Y = {
    "45 length": (lambda: LABELS[:5], ValueError, "inconsistent numbers of samples"),
    "46 None": (lambda: None, ValueError, "requires y to be passed"),
    "47 continuous": (lambda: NUMBERS, ValueError, "Unknown label type"),
    "48 NaN": (lambda: np.where(LABELS, np.nan, 0), ValueError, "y(_val)? contains NaN"),
    "49 inf": (lambda: np.where(LABELS, np.inf, 0), ValueError, "y(_val)? contains infinity"),
    "50 None among strings": (
        lambda: np.array(["a", None] * 30, dtype=object),
        ValueError,
        r"Unknown label type.*\(NoneType, str\)",
    ),
    "51 strings among ints": (
        lambda: np.array(["a", 1] * 30, dtype=object),
        ValueError,
        r"labels of several types \(int, str\).*astype\(str\)",
    ),
    "54 3-D": (lambda: np.zeros((N, 2, 2)), ValueError, "Found array with dim 3"),
    "56 complex": (lambda: LABELS + 1j, ValueError, "Complex data not supported"),
    "57 a single class": (lambda: np.zeros(N), ValueError, r"1 class only \(0.0\)"),
    "59 Int64 with NA": (
        lambda: pd.Series([pd.NA] + [0, 1] * 29 + [1], dtype="Int64"),
        ValueError,
        "y(_val)? contains NaN",
    ),
    "60 strings": (
        lambda: np.array(["a", "b"] * 30), ValueError, r"use Scaled\w+Classifier"
    ),
    "60 times": (lambda: DAYS, ValueError, "convert times to numbers"),
    "60 None among numbers": (
        lambda: np.array([None, 1.0] * 30, dtype=object), ValueError, "contains NaN"
    ),
    "61 1e300": (lambda: LABELS * 1e300, ValueError, "too large.*divide y by"),
}  # fmt: skip


# Of y with NaN scikit-learn's splitter casts to int before it looks.
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@over(*BAD_Y)
def test_bad_targets(subject, case, fitted):
    make, (error, message) = BAD_Y[case][0], expected_of(subject, case, BAD_Y)
    refuse(fitted, lambda: fitted.fit(X, make()), error, message)
    if subject.is_search:
        return
    if not case.startswith("57"):  # in a piece of a stream it is fine
        also = "|classes not in|as many columns|one column of labels"
        refuse(fitted, lambda: fitted.partial_fit(X, make()), error, message + also)
    if make() is not None and np.ndim(make()) == 1 and not case.startswith(("45", "57")):
        refuse(
            fitted,
            lambda: fitted.fit(X, subject.y, X_val=X, y_val=make()),
            error,
            message + "|classes not in",
        )


@over("52 column vector")
def test_a_column_is_taken_with_a_warning(subject, case, fitted):
    with pytest.warns(DataConversionWarning, match="column-vector"):
        column = subject.make().fit(X, subject.y[:, None])
    np.testing.assert_array_equal(column.predict(X), fitted.predict(X))


@over("53 one-hot", "55 sparse")
def test_an_indicator_matrix_is_multilabel(subject, case):
    y = np.eye(2, dtype=int)[LABELS]
    network = subject.make().fit(X, sp.csr_array(y) if case.startswith("55") else y)
    assert network.predict(X).shape == (N, 2)


@over("58 one sample")
def test_one_row_is_too_few(subject, case, fitted):
    message = r"1 sample.*minimum of 2"
    if subject.is_search:
        message = "number of (folds|splits|members)"
    refuse(fitted, lambda: fitted.fit(X[:1], subject.y[:1]), ValueError, message)


@over("62 shape")
def test_one_column_of_targets_is_predicted_as_one_dimension(subject, case, fitted):
    assert fitted.predict(X).shape == (N,)


LABEL_PAIRS = {
    "63 str": ["no", "yes"],
    "64 bool": [False, True],
    "65 -1 and 1": [-1, 1],
    "66 3 and 7": [3, 7],
    "67 0.0 and 1.0": [0.0, 1.0],
}


@over(*LABEL_PAIRS)
def test_labels_come_back_in_their_dtype(subject, case):
    y = np.array(LABEL_PAIRS[case])[LABELS]
    predictions = subject.make().fit(X, y).predict(X)
    assert predictions.dtype == y.dtype
    assert set(predictions.tolist()) <= set(LABEL_PAIRS[case])


@over("68 another index")
def test_a_series_counts_by_position(subject, case, fitted):
    y = pd.Series(subject.y, index=np.arange(N)[::-1])
    np.testing.assert_array_equal(subject.make().fit(X, y).predict(X), fitted.predict(X))


# predict
METHODS = ["predict", "predict_proba", "predict_log_proba", "decision_function", "score"]
BAD_ROWS = {
    "69 NaN": (lambda: with_value(np.nan), "X contains NaN"),
    "70 inf": (lambda: with_value(-np.inf), "contains infinity"),
    "71 fewer features": (lambda: X[:, :3], r"X has 3 features, but Scaled\w+ is expecting 4"),
    "72 more features": (lambda: np.hstack([X, X]), "X has 8 features, but"),
    "73 1-D": (lambda: X[0], "Reshape your data"),
    "74 empty": (lambda: X[:0], "0 sample"),
    "76 1e300": (lambda: with_value(1e300), "too large"),
}


def methods_of(subject):
    return [method for method in METHODS if hasattr(fitted_on(subject), method)]


@over(*BAD_ROWS)
def test_bad_rows_in_every_method(subject, case, fitted):
    make, message = BAD_ROWS[case]
    for method in methods_of(subject):
        y = (subject.y,) if method == "score" else ()
        refuse(
            fitted,
            lambda method=method, y=y: getattr(fitted, method)(make(), *y),
            ValueError,
            message,
        )


@over("74 empty and sparse")
def test_no_rows_of_a_sparse_matrix_are_refused(subject, case, fitted):
    error, message = ValueError, "0 sample"
    if not applies(subject, 27):
        error, message = TypeError, "Sparse data was passed"
    refuse(fitted, lambda: fitted.predict(sp.csr_array(X[:0])), error, message)


@over("75 unfitted")
def test_unfitted_objects_raise_not_fitted_error(subject, case):
    new = subject.make()
    for method in methods_of(subject):
        y = (subject.y,) if method == "score" else ()
        with pytest.raises(NotFittedError, match="fit"):
            getattr(new, method)(X, *y)
    for attribute in ("loss_curve_", "complexity_", "net_", "best_score_"):
        with pytest.raises((NotFittedError, AttributeError), match=r"fitted|attribute"):
            getattr(new, attribute)


@over("77 weights")
def test_weights_that_are_not_finite_never_predict(subject, case):
    given = [(X, X), (X, X[:1]), (FRAME, FRAME)]
    if applies(subject, 27):
        given.append((sp.csr_array(X), sp.csr_array(X)))
    for rows, asked in given:
        broken = subject.make().fit(rows, subject.y)
        network = broken.best_estimator_ if subject.is_search else broken
        for value in (np.nan, np.inf):
            network.coefs_[-1][:] = value
            with pytest.raises(ValueError, match="output is not finite"):
                broken.predict(asked)


WRONG_NAMES = {
    "78 another order": lambda: FRAME[list("dcba")],
    "79 renamed": lambda: FRAME.rename(columns={"a": "z"}),
}


@over(*WRONG_NAMES)
def test_columns_are_known_by_name(subject, case):
    named = fitted_on(subject, True)
    refuse(
        named,
        lambda: named.predict(WRONG_NAMES[case]()),
        ValueError,
        "names should match",
    )


@over("80 names of features")
def test_names_on_one_side_only_are_warned_of(subject, case):
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted_on(subject, True).predict(X)
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        fitted_on(subject).predict(FRAME)


# Weights
BAD_WEIGHTS = {
    "81 all zero": (lambda: np.zeros(N), "at least one non-zero"),
    "82 NaN": (lambda: np.full(N, np.nan), "sample_weight contains NaN"),
    "83 inf": (lambda: np.full(N, np.inf), "sample_weight contains infinity"),
    "84 length": (lambda: np.ones(5), r"\(5,\), expected \(60,\)"),
    "85 2-D": (lambda: np.ones((N, 1)), "1D array or scalar, got 2D"),
    "86 strings": (lambda: ["a"] * N, "could not convert string"),
    "87 negative": (lambda: -np.ones(N), "Negative values.*sample_weight"),
}


@over(*BAD_WEIGHTS)
def test_bad_weights(subject, case, fitted):
    make, message = BAD_WEIGHTS[case]
    y = subject.y
    if subject.is_search and case == "84 length":
        message = r"\(5,\), expected \(30,\)"  # of a fold
    refuse(fitted, lambda: fitted.fit(X, y, sample_weight=make()), ValueError, message)
    if subject.is_search:
        return
    for fit in (
        lambda: fitted.partial_fit(X, y, sample_weight=make()),
        lambda: fitted.fit(X, y, X_val=X, y_val=y, sample_weight_val=make()),
    ):
        refuse(fitted, fit, ValueError, message)


@over("88 a class without weight")
def test_a_class_without_weight_stays_finite(subject, case):
    network = subject.make().fit(X, THREE, sample_weight=(THREE != 1).astype(float))
    assert np.isfinite(network.predict_proba(X)).all()


@pytest.mark.parametrize("factor", [1e30, 1e-30])
@over("89 scaled weights")
def test_only_ratios_of_weights_matter(subject, case, factor):
    weights = np.random.default_rng(0).uniform(1, 2, N)
    network = subject.make(precision="float64")
    one = clone(network).fit(X, subject.y, sample_weight=weights)
    other = clone(network).fit(X, subject.y, sample_weight=weights * factor)
    np.testing.assert_allclose(predicted(one, X), predicted(other, X))


BAD_CLASS_WEIGHTS = {
    "90 a word": ("foo", InvalidParameterError, "class_weight"),
    "91 unknown class": ({0: 1.0, 7: 1.0}, ValueError, "not in class_weight"),
    "92 negative": ({0: -1.0, 1: 1.0}, ValueError, "finite, non-negative"),
    "92 NaN": ({0: np.nan, 1: 1.0}, ValueError, "finite, non-negative"),
}


@over(*BAD_CLASS_WEIGHTS)
def test_bad_class_weights(subject, case):
    class_weight, error, message = BAD_CLASS_WEIGHTS[case]
    network = subject.make(class_weight=class_weight)
    refuse(network, lambda: network.fit(X, LABELS), error, message)


@over("93 class weight of zero")
def test_a_class_weight_of_zero_is_taken(subject, case):
    network = subject.make(class_weight={0: 0.0, 1: 1.0, 2: 1.0}).fit(X, THREE)
    assert len(network.classes_) == 3
    assert np.isfinite(network.predict_proba(X)).all()


# partial_fit and parameters
BAD_STREAMS = {
    "94 no classes": (None, (X, LABELS), "classes must be passed on the first call"),
    "95 unseen label": ((X, LABELS, [0, 1]), (X, THREE), "classes not in `self.classes_`"),
    "96 other classes": ((X, LABELS, [0, 1]), (X, LABELS, [0, 1, 2]), "not the same as on la"),
    "97 fewer features": ((X, None, [0, 1]), (X[:, :3], None), "features|samples of shape"),
}


@over(*BAD_STREAMS)
def test_a_stream_rejects_other_classes_and_features(subject, case):
    first, second, message = BAD_STREAMS[case]

    def call(X, y, *classes):
        y = subject.y if y is None else y
        return network.partial_fit(X, y, *(classes if subject.classifies else ()))

    network = subject.make()
    if first is not None:
        call(*first)
    refuse(network, lambda: call(*second), ValueError, message)


@over("98 other classes")
def test_a_warm_start_keeps_its_classes(subject, case):
    network = subject.make(warm_start=True).fit(X, LABELS)
    refuse(network, lambda: network.fit(X, THREE), ValueError, "expected y of the same classes")


BAD_PARAMETERS = {
    "99 width": [{"width": 0}, {"width": -1}, {"width": 8.5}, {"width": "wide"}],
    "99 depth": [{"depth": -1}, {"depth": 1.5}, {"depth": np.nan}],
    "100 training": [
        {"learning_rate": 0}, {"learning_rate": np.nan}, {"weight_decay": -1}, {"l1": -1},
        {"dropout": 1.0}, {"batch_size": 0}, {"max_epochs": 0}, {"max_seconds": 0},
        {"lr_schedule": "foo"}, {"validation_fraction": 1.5}, {"n_iter_no_change": 0},
        {"tol": -1}, {"early_stopping": "yes"},
    ],
    "100 others": [
        {"resolution": -1}, {"phi": "big"}, {"phi": np.inf},
        {"phi_coefficients": 1.2}, {"n_estimators": 0}, {"distillation": 2},
        {"distillation": Distillation(cv="foo")}, {"memory": 3},
        {"precision": "float16"}, {"random_state": "foo"}, {"warm_start": 2},
        {"device": 3},
    ],
}  # fmt: skip
# Those of some estimators only.
BAD_OF_SOME = [
    {"activation": "foo"}, {"normalization": "batch"}, {"residual": 3},
    {"distillation": Distillation(n_synthetic=-1)},
    {"preprocessing": "foo"}, {"channels": "middle"}, {"augmentation": "blur"},
    {"input_dtype": "bytes"}, {"module": 3}, {"pruning": 1.0}, {"pruning": Pruning(1.0)},
    {"pruning": Pruning(granularity="rows")}, {"pruning": Pruning(n_steps=0)},
    {"pruning": Pruning(finetune_epochs=0)}, {"pruning": Pruning(round_to=0)},
    {"label_smoothing": 1.0}, {"label_smoothing": -0.1},
    {"distillation": Distillation(temperature=0)},
    {"calibrate": "no"}, {"loss": "foo"}, {"quantile": 0}, {"quantile": 1}, {"huber_delta": 0},
]  # fmt: skip


@over(*BAD_PARAMETERS, "100 of some")
def test_parameters_out_of_range_are_named(subject, case):
    for parameters in BAD_PARAMETERS.get(case, BAD_OF_SOME):
        (name,) = parameters
        if name not in subject.network.get_params():
            continue
        network = subject.make(**parameters)
        fits = [network.fit] if subject.is_search else [network.fit, network.partial_fit]
        for fit in fits:
            refuse(
                network,
                lambda fit=fit: fit(X, subject.y),
                InvalidParameterError,
                rf"The '({name}' parameter|\w+' parameter of (Pruning|Distillation))",
            )


@over("101 unknown parameter")
def test_an_unknown_parameter_is_refused_by_name(subject, case, fitted):
    message = re.escape("Invalid parameter 'depht' for estimator")
    refuse(fitted, lambda: fitted.set_params(depht=3), ValueError, message)


# Images as such: of 4 x 6 pixels in 3 colours
COLOUR = np.random.default_rng(1).integers(0, 256, (N, 4, 6, 3)).astype(np.uint8)
OF_IMAGES = [subject for subject in SUBJECTS if subject.family == "CNN"]
of_images = pytest.mark.parametrize("subject", OF_IMAGES, ids=str)


def pixels_with(value, shape=COLOUR.shape):
    changed = COLOUR.reshape(shape).astype(np.float64)
    changed[(3,) + (1,) * (len(shape) - 1)] = value
    return changed


# Of what was fitted on COLOUR, in fit (None: taken there) and predict.
BAD_IMAGES = {
    "no image": (lambda: COLOUR[:0], ValueError, "0 sample", "0 sample"),
    "no pixel": (lambda: COLOUR[:, :0], ValueError, "one pixel", r"of shape \(0, 6, 3\)"),
    "no column": (lambda: COLOUR[:, :, :0], ValueError, "one pixel", r"of shape \(4, 0, 3\)"),
    "no channel": (lambda: COLOUR[..., :0], ValueError, "one pixel", r"of shape \(4, 6, 0\)"),
    "one channel": (
        lambda: COLOUR[..., :1], ValueError, None, r"\(4, 6, 1\), but .* fitted on .*\(4, 6, 3"
    ),
    "grey": (lambda: COLOUR[..., 0], ValueError, None, r"\(4, 6, 1\), but"),
    "channels first": (
        lambda: COLOUR.transpose(0, 3, 1, 2), ValueError, None, r"\(3, 4, 6\), but .* fitted on"
    ),
    "turned": (lambda: COLOUR.transpose(0, 2, 1, 3), ValueError, None, r"\(6, 4, 3\), but"),
    "larger": (lambda: COLOUR.repeat(2, 1), ValueError, None, r"\(8, 6, 3\), but"),
    "one alone": (lambda: COLOUR[0], ValueError, "inconsistent numbers", r"\(6, 3, 1\), but"),
    "rows of another length": (
        lambda: COLOUR.reshape(N, -1)[:, :-1], ValueError, None, "71 features.*expecting 72"
    ),
    "films": (lambda: COLOUR[..., None], ValueError, "Expected X of", "Expected X of"),
    "of differing sizes": (
        lambda: [*COLOUR[:-1], COLOUR[0, :2]], ValueError, "inhomogeneous", "inhomogeneous"
    ),
    "an array of arrays": (
        lambda: np.fromiter(COLOUR, dtype=object), ValueError, "Expected 2D", "Expected 2D"
    ),
    "NaN": (lambda: pixels_with(np.nan), ValueError, "X contains NaN", "X contains NaN"),
    "inf": (lambda: pixels_with(np.inf), ValueError, "infinity", "infinity"),
    "1e300": (lambda: pixels_with(1e300), ValueError, "float32", "float32"),
    "NaN in rows": (
        lambda: pixels_with(np.nan, (N, 72)), ValueError, "X contains NaN", "X contains NaN"
    ),
    "words": (lambda: COLOUR.astype(str).astype(object) + "x", ValueError, "conv", "conv"),
    "complex": (lambda: COLOUR + 1j, ValueError, "Complex data", "Complex data"),
    "times": (
        lambda: COLOUR.astype("datetime64[s]"), TypeError, "dates or times", "dates or times"
    ),
    "masked": (
        lambda: np.ma.MaskedArray(COLOUR, COLOUR > 9), ValueError, "masked", "masked"
    ),
    "a generator": (lambda: iter(COLOUR), TypeError, "read only once", "read only once"),
    "sparse": (
        lambda: sp.coo_array(COLOUR), TypeError, "Sparse data was passed", "Sparse data was pa"
    ),
}  # fmt: skip


@functools.cache
def fitted_on_images(subject):
    return subject.make().fit(COLOUR, subject.y)


@of_images
@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images(subject, case):
    make, error, in_fit, in_predict = BAD_IMAGES[case]
    fitted = copy.copy(fitted_on_images(subject))
    refuse(fitted, lambda: fitted.predict(make()), error, in_predict)
    if in_fit is None:
        network = subject.make().fit(make(), subject.y)
        assert np.isfinite(predicted(network, make())).all()
        in_fit = in_predict
    else:
        refuse(fitted, lambda: fitted.fit(make(), subject.y), error, in_fit)
    warm = fitted.set_params(warm_start=True)
    for fit in (
        lambda: warm.fit(make(), subject.y),
        lambda: warm.partial_fit(make(), subject.y),
        lambda: warm.fit(COLOUR, subject.y, X_val=make(), y_val=subject.y),
    ):
        refuse(warm, fit, error, f"{in_fit}|{in_predict}|y_val is provided")


TAKEN_IMAGES = {
    "int64": lambda: COLOUR.astype(np.int64),
    "uint16": lambda: COLOUR.astype(np.uint16),
    "float16": lambda: COLOUR.astype(np.float16),
    "float64": lambda: COLOUR.astype(np.float64),
    "big-endian": lambda: COLOUR.astype(">f4"),
    "objects": lambda: COLOUR.astype(object),
    "Fortran": lambda: np.asfortranarray(COLOUR),
    "strided": lambda: COLOUR.repeat(2, 1)[:, ::2],
    "read-only": lambda: _read_only(COLOUR),
    "lists": lambda: COLOUR.tolist(),
    "a list of images": lambda: list(COLOUR),
    "a tensor": lambda: torch.from_numpy(COLOUR),
    "rows of bytes": lambda: COLOUR.reshape(N, -1),
}


@of_images
@pytest.mark.parametrize("case", TAKEN_IMAGES)
def test_images_of_any_dtype_are_the_same_images(subject, case):
    network = subject.make(image_shape=(4, 6, 3)).fit(TAKEN_IMAGES[case](), subject.y)
    assert network.image_shape_ == (4, 6, 3)
    np.testing.assert_allclose(
        predicted(network, TAKEN_IMAGES[case]()),
        predicted(fitted_on_images(subject), COLOUR),
        rtol=1e-3,
        atol=1e-4,
    )


IMAGE_PARAMETERS = [
    {"resolution": 40},
    {"resolution": 1},
    {"width": (4,)},
    {"width": (3, 5, 7, 9, 11)},  # halved after one pixel is left
    {"phi": -20},
    {"phi": 3, "resolution": 3},
    {"depth": 3, "augmentation": ("crop", "flip", "shift", "erase")},
    {"precision": "bfloat16"},
    {"n_estimators": 2, "pruning": Pruning(0.5, finetune_epochs=1)},
]


@of_images
@pytest.mark.parametrize("parameters", IMAGE_PARAMETERS, ids=str)
def test_odd_scales_of_images_end_finite(subject, parameters):
    network = subject.make(**parameters).fit(COLOUR, subject.y)
    assert np.isfinite(predicted(network, COLOUR)).all()


BAD_IMAGE_PARAMETERS = [
    ({"image_shape": (4, 6)}, "has 24 pixel values, but X has 72 features"),
    ({"image_shape": (72,)}, r"\(height, width\) or \(height, width, channels\)"),
    ({"image_shape": (4, 6, 3, 1)}, r"\(height, width\) or \(height, width, channels\)"),
    ({"image_shape": (4, 0, 3)}, "must hold positive ints, height, width and channels, got 0"),
    ({"image_shape": (4, 6.0, 3)}, "must hold positive ints, .* got 6.0"),
    ({"image_shape": (True, 24, 3)}, "must hold positive ints, .* got True"),
    ({"image_shape": "4x6"}, "The 'image_shape' parameter"),
    ({"image_shape": ()}, "image_shape is empty"),
    ({"width": ()}, "width is empty"),
    ({"width": (4, 2.5)}, "must hold positive ints, the channels of each stage, got 2.5"),
    (
        {"augmentation": ("shift", "blur")},
        "must hold names of shift, flip, crop, erase, got 'blur'",
    ),
    ({"augmentation": ([],)}, r"must hold names of shift, flip, crop, erase, got \[\]"),
    ({"dropout": "auto"}, "The 'dropout' parameter"),
    ({"phi": 1000}, "Expected a smaller phi"),
]


@of_images
@pytest.mark.parametrize(("parameters", "message"), BAD_IMAGE_PARAMETERS, ids=str)
def test_parameters_of_images_out_of_range_are_named(subject, parameters, message):
    network = subject.make(**parameters)
    refuse(network, lambda: network.fit(COLOUR.reshape(N, -1), subject.y), ValueError, message)


# Faults seen in other libraries
of_all = pytest.mark.parametrize("subject", SUBJECTS, ids=str)


@of_all
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("learning_rate", [1e4, 1e30])
def test_a_diverged_network_raises_and_never_predicts(subject, learning_rate):
    network = subject.make(learning_rate=learning_rate, max_epochs=10)
    try:
        network.fit(X, subject.y)
    except ValueError as error:
        assert "Training diverged" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(predicted(network, X)).all()


@of_all
def test_ctrl_c_inside_a_fit_goes_through_and_changes_nothing(subject, fitted, monkeypatch):
    def interrupted(tasks, **options):
        raise KeyboardInterrupt("pressed")

    monkeypatch.setattr(fusion, "train", interrupted)
    refuse(fitted, lambda: fitted.fit(X, subject.y), KeyboardInterrupt, "pressed")


@of_all
def test_a_pickle_keeps_no_rows_and_predicts_the_same(subject):
    many = np.random.default_rng(2).standard_normal((2_000, D)).astype(np.float32)
    y = (many[:, 0] > 0).astype(int) if subject.classifies else many[:, 0]
    network = subject.make(max_epochs=1, batch_size=500).fit(many, y)
    if not subject.is_search:
        network.partial_fit(many, y)  # with an optimiser's state
    data = pickle.dumps(network)
    assert len(data) < many.nbytes / 2
    np.testing.assert_array_equal(pickle.loads(data).predict(many), network.predict(many))


@of_all
def test_a_file_refuses_the_rows_that_its_estimator_does(subject, fitted, tmp_path):
    skscale.save(fitted, tmp_path / "file")
    loaded = skscale.load(tmp_path / "file", trusted=[Net])
    for case, (make, message) in BAD_ROWS.items():
        if applies(subject, number_of(case)):
            refuse(loaded, lambda make=make: loaded.predict(make()), ValueError, message)


def test_every_number_is_tested_or_listed_as_not_applicable():
    for subject in SUBJECTS:
        of_subject = {n for name, n in covered if name == str(subject)}
        assert of_subject == {n for n in range(1, 102) if applies(subject, n)}, subject
