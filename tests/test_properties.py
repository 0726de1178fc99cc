"""Whatever comes in: a fit raises on purpose, or predicts finite values, the same each time.

Data of all shapes, dtypes and containers, labels, targets, weights and parameters (drawn from
the estimators' own constraints) by Hypothesis. The default run repeats the same few examples;
`python -m pytest -m slow tests/test_properties.py` draws many new ones, and prints those that
fail in a form to be repeated. What was found so is tested by name at the end.
"""

import linecache
import pathlib
import pickle
import random
import re
import traceback
import warnings
from dataclasses import dataclass
from numbers import Integral, Real

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import sklearn
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import skscale
from skscale import (
    Activation,
    LRSchedule,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    ScaledNetworkRegressor,
)
from skscale._sklearn_private import Interval, StrOptions, _safe_indexing
from skscale.estimators.cnn import AUGMENTATIONS
from skscale.estimators.sample_weights import SMALLEST_WEIGHT
from skscale.training.losses import Loss
from skscale.training.optimizers import Optimizer
from tests.test_network import Dense, Normalized

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")

_COMMON = {
    "phases": (Phase.explicit, Phase.generate),
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


def effort(quick, long):
    """Parametrise by few examples, the same each time, and by many, new each time."""
    few = settings(max_examples=quick, derandomize=True, **_COMMON)
    many = settings(max_examples=long, print_blob=True, **_COMMON)
    return pytest.mark.parametrize(
        "effort",
        [pytest.param(few, id="few"), pytest.param(many, id="many", marks=pytest.mark.slow)],
    )


# Rows

FLOAT32 = np.finfo(np.float32)


def _mixed(rng, shape):
    return rng.standard_normal(shape) * 10.0 ** rng.uniform(-38, 37, shape)


VALUES = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "far": lambda rng, shape: 1e6 + rng.standard_normal(shape),
    "integers": lambda rng, shape: rng.integers(-3, 4, shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, rng.normal()),
    "zeros": lambda rng, shape: np.zeros(shape),
    "duplicates": lambda rng, shape: np.ones(shape) * rng.standard_normal((1, *shape[1:])),
    "subnormal": lambda rng, shape: rng.integers(-9, 10, shape) * 1.4e-45,
    "tiny": lambda rng, shape: rng.standard_normal(shape) * 1e-300,
    "huge": lambda rng, shape: rng.choice([-1, 1], shape) * float(FLOAT32.max),
    "large": lambda rng, shape: rng.standard_normal(shape) * 1e18,
    "mixed": _mixed,
    "one huge": lambda rng, shape: np.where(rng.random(shape) < 0.1, 3e38, rng.random(shape)),
}  # fmt: skip


def _read_only(X):
    X.flags.writeable = False
    return X


def _cast(dtype):
    info = np.iinfo(dtype)

    def cast(X):
        return np.clip(np.nan_to_num(X) * 10, max(info.min, -1e15), min(info.max, 1e15)).astype(
            dtype
        )

    return cast


def _frame(X):
    return pd.DataFrame(X, columns=[f"x{k}" for k in range(X.shape[1])])


def _categories(X):
    frame = _frame(X)
    words = np.array(["red", "green", "blue", "rare"])
    codes = (np.abs(np.nan_to_num(X[:, 0])) % 4).astype(int) % 4
    return frame.assign(
        colour=pd.Categorical(words[codes]), town=words[codes[::-1]], flag=codes > 1
    )


def _nullable(X):
    frame = _frame(X).astype("Float64")
    return frame.mask(np.abs(np.nan_to_num(X)) > 1) if X.shape[0] > 2 else frame


def _in_polars(X):
    return pl.DataFrame({f"x{k}": column for k, column in enumerate(X.T)})


def _words_in_polars(X):
    words = np.where(np.nan_to_num(X[:, 0]) > 0, "up", "down")
    return _in_polars(X).with_columns(
        word=pl.Series(words), kind=pl.Series(words, dtype=pl.Categorical)
    )


ARRAYS = {
    "f8": lambda X: X,
    "f4": lambda X: X.astype(np.float32),
    "f2": lambda X: X.astype(np.float16),
    "longdouble": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(">f4"),
    "i1": _cast(np.int8),
    "i4": _cast(np.int32),
    "i8": _cast(np.int64),
    "u1": _cast(np.uint8),
    "u8": _cast(np.uint64),
    "bool": lambda X: X > 0,
    "object": lambda X: X.astype(object),
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, 1)[:, ::2],
    "reversed": lambda X: X[::-1].copy()[::-1],
    "read-only": lambda X: _read_only(X.copy()),
    "lists": lambda X: X.tolist(),
}
TABLES = {
    **ARRAYS,
    "pandas": _frame,
    "nullable": _nullable,
    "categories": _categories,
    "polars": _in_polars,
    "polars with words": _words_in_polars,
    "csr": sp.csr_array,
    "csc": sp.csc_matrix,
    "coo": sp.coo_array,
}


class Rows:
    """Rows to fit on, and how they came to be."""

    def __init__(self, X, n, what):
        self.X, self.n, self.what = X, n, what

    def __repr__(self):
        return f"<{self.what}>"


@st.composite
def tables(draw):
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 8))
    return _rows(draw, (n, d), TABLES, has_missing=draw(st.booleans()))


@st.composite
def images(draw):
    n = draw(st.integers(1, 16))
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    shape = draw(
        st.sampled_from([(n, height * width), (n, height, width), (n, height, width, 3)])
    )
    return _rows(draw, shape, ARRAYS, has_missing=False)


def _rows(draw, shape, containers, has_missing):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values, container = draw(st.sampled_from([*VALUES])), draw(st.sampled_from([*containers]))
    X = VALUES[values](rng, shape)
    if has_missing:
        X = np.where(rng.random(shape) < 0.2, np.nan, X)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        X = containers[container](X)
    return Rows(X, shape[0], f"{values} {container} {shape}{' with gaps' * has_missing}")


# Targets

LABELS = {
    "str": lambda codes: np.array([f"class {code}" for code in codes]),
    "objects": lambda codes: np.array([f"class {code}" for code in codes], dtype=object),
    "int": lambda codes: codes,
    "negative": lambda codes: codes * 3 - 5,
    "bool": lambda codes: codes > 0,
    "floats": lambda codes: codes.astype(float),
    "bytes": lambda codes: codes.astype(np.int8),
    "series": lambda codes: pd.Series(codes, index=range(len(codes), 0, -1)),
    "list": lambda codes: [int(code) for code in codes],
}
NUMBERS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "counts": lambda rng, n: rng.poisson(2.0, n),
    "constant": lambda rng, n: np.full(n, 7.0),
    "zeros": lambda rng, n: np.zeros(n),
    "huge": lambda rng, n: rng.standard_normal(n) * 1e150,
    "tiny": lambda rng, n: rng.standard_normal(n) * 1e-300,
    "far": lambda rng, n: 1e12 + rng.standard_normal(n),
    "one far": lambda rng, n: np.where(np.arange(n) == 0, 1e100, rng.random(n)),
    "short": lambda rng, n: rng.standard_normal(n).astype(np.float32),
    "two": lambda rng, n: rng.standard_normal((n, 2)) * [1, 1e9],
    "column": lambda rng, n: rng.standard_normal((n, 1)),
    "three": lambda rng, n: np.column_stack([rng.random((n, 2)), np.ones(n)]),
    "series": lambda rng, n: pd.Series(rng.random(n), index=range(n, 0, -1)),
    "list": lambda rng, n: rng.random(n).tolist(),
}
CODES = {
    "even": lambda rng, n: np.arange(n) % 2,
    "three": lambda rng, n: rng.integers(0, 3, n),
    "many": lambda rng, n: rng.integers(0, max(2, n // 2), n),
    "each its own": lambda rng, n: np.arange(n),
    "one alone": lambda rng, n: (np.arange(n) == 0).astype(int),
    "one class": lambda rng, n: np.zeros(n, dtype=int),
}


@st.composite
def targets(draw, classifies, n):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if not classifies:
        return NUMBERS[draw(st.sampled_from([*NUMBERS]))](rng, n)
    if draw(st.integers(0, 6)) == 0:
        y = rng.integers(0, 2, (n, draw(st.integers(2, 4))))
        return sp.csr_array(y) if draw(st.booleans()) else y
    codes = CODES[draw(st.sampled_from([*CODES]))](rng, n)
    return LABELS[draw(st.sampled_from([*LABELS]))](codes)


WEIGHTS = {
    "none": lambda rng, n: None,
    "ones": lambda rng, n: np.ones(n),
    "uniform": lambda rng, n: rng.random(n),
    "some zero": lambda rng, n: rng.integers(0, 2, n),
    "one row": lambda rng, n: (np.arange(n) == n // 2).astype(float),
    "two rows": lambda rng, n: (np.arange(n) < 2).astype(float),
    "all orders": lambda rng, n: 10.0 ** rng.uniform(-30, 30, n),
    "large": lambda rng, n: np.full(n, 1e30),
    "small": lambda rng, n: np.full(n, 1e-30),
    "zeros": lambda rng, n: np.zeros(n),
}


@st.composite
def weights(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return WEIGHTS[draw(st.sampled_from([*WEIGHTS]))](rng, n)


def agreement(estimator, X, y):
    """A scorer for labels and numbers."""
    return float((estimator.predict(X) == y).mean())


# Parameters

# Where all that the constraints allow would take too long, or hardly ever fit the data.
SMALLER = {
    "depth": st.integers(1, 3),
    "width": st.integers(1, 9),
    "resolution": st.integers(0, 9),
    "n_estimators": st.sampled_from([1, 1, 1, 2, 3]),
    "phi": st.floats(-2, 2),
    "phi_coefficients": st.tuples(*[st.floats(1, 1.5)] * 3),
    "max_epochs": st.integers(1, 3),
    "pruning": st.builds(
        skscale.Pruning,
        amount=st.sampled_from([0.0, 0.0, 0.3, 0.5, 0.99]),
        granularity=st.sampled_from(["neurons", "weights"]),
        importance=st.sampled_from(["taylor", "activation", "magnitude"]),
        scope=st.sampled_from(["global", "layer"]),
        n_steps=st.integers(1, 2),
        finetune_epochs=st.integers(1, 2),
        round_to=st.integers(1, 9),
    ),
    "distillation": st.builds(
        skscale.Distillation,
        weight=st.floats(0, 1),
        temperature=st.sampled_from([1.0, 1.0, 1.0, 4.0]),
        cv=st.sampled_from([2, 3]),
        n_synthetic=st.sampled_from([0, 0, 0, 1, 30]),
    ),
    "validation_scoring": st.sampled_from(["loss", "loss", "loss", agreement]),
    "n_iter_no_change": st.integers(1, 3),
    "batch_size": st.one_of(st.just("auto"), st.integers(1, 50)),
    "class_weight": st.sampled_from([None, "balanced"]),
    "augmentation": st.one_of(
        st.none(), st.sampled_from(AUGMENTATIONS), st.just(AUGMENTATIONS), st.just(())
    ),
    "image_shape": st.none(),
    "categorical_features": st.sampled_from(["from_dtype", "from_dtype", None, [0]]),
    "dropout": st.sampled_from([0.0, 0.1, 0.9]),
}
# What is not to be drawn: of the machine, of the user, or of the clock.
LEFT_OUT = {
    "module", "input_dtype", "teacher", "memory", "max_seconds", "device", "callbacks",
    "random_state", "verbose", "warm_start",
}  # fmt: skip


def _of_constraint(constraint):
    if constraint == "boolean":
        return st.booleans()
    if constraint is None:
        return st.none()
    if isinstance(constraint, StrOptions):
        return st.sampled_from(sorted(constraint.options))
    assert isinstance(constraint, Interval), constraint
    low = 0 if constraint.left is None else constraint.left
    if constraint.type is Integral:
        return st.integers(low, low + 9)
    assert constraint.type is Real
    high = 1e30 if constraint.right is None else constraint.right
    usual = st.floats(
        low,
        min(high, 1.0),
        exclude_min=constraint.closed in ("right", "neither"),
        exclude_max=constraint.closed in ("left", "neither") and high <= 1,
    )
    extreme = [x for x in (low + 1e-12, 0.5 * (low + min(high, 1.0)), high) if x in constraint]
    return st.one_of(usual, st.sampled_from(extreme))


def parameters_of(Estimator):
    """Return a strategy for dicts of parameters that their own constraints allow."""
    given_ = {}
    for name, constraints in Estimator._parameter_constraints.items():
        if name in LEFT_OUT:
            continue
        given_[name] = SMALLER.get(name)
        if name not in SMALLER:
            # Objects of a user's own have tests of their own.
            kinds = [
                c for c in constraints if c not in (Activation, Loss, LRSchedule, Optimizer)
            ]
            given_[name] = st.one_of([_of_constraint(c) for c in kinds])
    return st.lists(st.sampled_from(sorted(given_)), max_size=8, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: given_[name] for name in names})
    )


@dataclass(frozen=True)
class Subject:
    Estimator: type
    rows: object
    module: type | None = None

    @property
    def classifies(self):
        return "Classifier" in self.Estimator.__name__

    def make(self, **parameters):
        settings_ = {"max_epochs": 2, "random_state": 0}
        if self.module is not None:
            return self.Estimator(self.module, **{**settings_, **parameters})
        return self.Estimator(**{"width": 6, **settings_, **parameters})

    def __str__(self):
        name = self.Estimator.__name__
        return name if self.module is None else f"{name} of {self.module.__name__}"


SUBJECTS = [
    Subject(ScaledMLPClassifier, tables()),
    Subject(ScaledMLPRegressor, tables()),
    Subject(ScaledCNNClassifier, images()),
    Subject(ScaledCNNRegressor, images()),
    Subject(ScaledNetworkClassifier, tables(), Dense),
    Subject(ScaledNetworkRegressor, tables(), Normalized),
]
of_all = pytest.mark.parametrize("subject", SUBJECTS, ids=str)


@st.composite
def fits(draw, subject):
    """(estimator, rows, y, weights) as they may come."""
    parameters = draw(parameters_of(subject.Estimator))
    if subject.module is not None:
        parameters.pop("resolution", None)  # none of these modules has one
        if subject.module is Normalized:
            parameters = {n: v for n, v in parameters.items() if n not in ("depth", "dropout")}
    if draw(st.integers(0, 5)) == 0:
        Tree = DecisionTreeClassifier if subject.classifies else DecisionTreeRegressor
        parameters["teacher"] = Tree(max_depth=2, random_state=0)
    rows = draw(subject.rows)
    return (
        subject.make(**parameters),
        rows,
        draw(targets(subject.classifies, rows.n)),
        draw(weights(rows.n)),
    )


# What must hold

EXPECTED_WARNINGS = (
    "A network learns little|few digits left for the variation|beyond 2..53|"
    "column-vector y was passed|"
    "The student does not gain|The least populated class in y has only|"
    "takes no sample_weight|The number of unique classes is greater than 50%"
)
_SKSCALE = str(pathlib.Path(skscale.__file__).parent)
_SKLEARN = str(pathlib.Path(sklearn.__file__).parent)
# Of NumPy and pandas inside scikit-learn's validation, of a module of torch, and of the trees
# of scikit-learn 1.9.1, as teachers, where a frame's only column is nullable and lacks a value.
_OF_OTHERS = (
    "could not convert string to float|inhomogeneous shape|Cannot cast .* dtype|"
    "Expected more than 1 value per channel when training|buffer source array is read-only"
)


def assert_raised_on_purpose(error):
    """The innermost line of ours or scikit-learn's must be a `raise` with something to say."""
    assert isinstance(error, (ValueError, TypeError)), repr(error)
    assert len(str(error)) > 20
    if re.search(_OF_OTHERS, str(error)):
        return
    frame = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(frame.filename, frame.lineno).strip()
    assert frame.filename.startswith((_SKSCALE, _SKLEARN)), frame
    assert line.startswith("raise "), (frame, str(error))


def attempt(call, expected=EXPECTED_WARNINGS):
    """Return (value, None), or (None, error) of an error raised on purpose; warn of nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value, error = call(), None
        except Exception as raised:  # which ones are right is asserted
            value, error = None, raised
    if error is not None:
        assert_raised_on_purpose(error)
    for warning in caught:
        assert re.search(expected, str(warning.message)), warning
    return value, error


def assert_predicts(fitted, rows, y):
    """Labels of y's dtype, or finite numbers; probabilities."""
    prediction = fitted.predict(rows.X)
    y = y.toarray() if sp.issparse(y) else np.asarray(y)
    shape = y.shape[:1] if y.ndim == 2 and y.shape[1] == 1 else y.shape
    assert prediction.shape == shape
    if not hasattr(fitted, "classes_"):
        assert prediction.dtype in (np.float32, np.float64)
        assert np.isfinite(prediction).all()
        return prediction
    if y.ndim == 1:
        assert prediction.dtype == y.dtype
        assert set(prediction.tolist()) <= set(fitted.classes_.tolist())
    else:
        assert set(np.unique(prediction)) <= {0, 1}
    p = fitted.predict_proba(rows.X)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    assert (p <= 1).all()
    if y.ndim == 1:
        np.testing.assert_allclose(p.sum(1), 1, atol=1e-5)
    assert np.isfinite(fitted.predict_log_proba(rows.X)).all() or (p == 0).any()
    return p


def global_states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


def check_fit(case):
    """A fit raises on purpose or predicts finite values; and again; and so does its pickle."""
    estimator, rows, y, w = case
    before = global_states()

    def fit():
        return clone(estimator).fit(rows.X, y, sample_weight=w)

    # A teacher's sums may overflow.
    expected = EXPECTED_WARNINGS + "|encountered in" * (estimator.teacher is not None)
    fitted, error = attempt(fit, expected)
    again, error_again = attempt(fit, expected)
    assert type(error) is type(error_again)
    if error is not None:
        assert str(error) == str(error_again)
        assert global_states() == before
        return
    known, known_y = rows, y
    if w is not None:
        # A row without weight, or nearly so, is none that was fitted on.
        kept = np.flatnonzero(w >= SMALLEST_WEIGHT * w.max())
        known_y = _safe_indexing(y, kept)
        known = Rows(_safe_indexing(rows.X, kept), len(kept), rows.what)
    found, refused = attempt(lambda: assert_predicts(fitted, known, known_y))
    assert refused is None, refused
    np.testing.assert_array_equal(assert_predicts(again, known, known_y), found)
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(assert_predicts(loaded, known, known_y), found)
    _, error = attempt(lambda: fitted.partial_fit(rows.X, y, sample_weight=w))
    if error is None:
        _, refused = attempt(lambda: assert_predicts(fitted, known, known_y))
        assert refused is None, refused
    else:
        np.testing.assert_array_equal(assert_predicts(fitted, known, known_y), found)
    assert global_states() == before


@effort(quick=30, long=600)
@of_all
def test_a_fit_raises_on_purpose_or_predicts_finite_values_the_same_each_time(subject, effort):
    effort(given(fits(subject))(check_fit))()


def check_fused(case):
    """Folds that train together predict what they do one after the other."""
    estimator, rows, y, _ = case
    # Steps of any size amplify the last digits.
    estimator = clone(estimator).set_params(precision="float64", learning_rate=0.01)

    def predict():
        return cross_val_predict(clone(estimator), rows.X, y, cv=KFold(2))

    expected = EXPECTED_WARNINGS + "|encountered in" * (estimator.teacher is not None)
    alone, error = attempt(predict, expected)
    fused = error_fused = None
    with joblib.parallel_config(backend="skscale"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fused = predict()
        except Exception as raised:
            error_fused = raised
    assert (error is None) == (error_fused is None), (error, error_fused)
    if error is not None and str(error) != str(error_fused):
        # Where both folds fail, that of the second may come first.
        own = []
        for train, _ in KFold(2).split(np.zeros(rows.n)):
            X, targets = _safe_indexing(rows.X, train), _safe_indexing(y, train)
            own.append(attempt(lambda: clone(estimator).fit(X, targets), expected)[1])  # noqa: B023
        assert None not in own
        assert str(error_fused) in map(str, own)
    if error is None and not hasattr(estimator, "class_weight"):
        # To a millionth of the targets' size: some lie far from zero.
        tolerance = 1e-6 * np.abs(np.asarray(y, dtype=np.float64)).max()
        np.testing.assert_allclose(fused, alone, rtol=1e-6, atol=tolerance)
    elif error is None:
        # A probability of one half may go either way.
        assert fused.dtype == alone.dtype
        assert np.mean(np.asarray(fused == alone)) >= 0.9


@effort(quick=8, long=200)
@of_all
def test_folds_trained_together_predict_the_same_as_separately(subject, effort):
    effort(given(fits(subject))(check_fused))()


# What was found so


@pytest.mark.parametrize("how", [list, np.asarray])
def test_categories_by_place_are_taken_of_lists_and_arrays(how):
    rng = np.random.default_rng(0)
    rows = how(
        [[w, *x] for w, x in zip("abc" * 20, rng.normal(size=(60, 2)).tolist(), strict=True)]
    )
    y = np.arange(60) % 2
    network = ScaledMLPClassifier(categorical_features=[0], max_epochs=2, random_state=0)
    objects = np.empty((60, 3), dtype=object)
    objects[:] = [list(row) for row in rows]
    expected = clone(network).fit(objects, y).predict_proba(objects)
    np.testing.assert_array_equal(network.fit(rows, y).predict_proba(rows), expected)
    few = network.predict_proba(rows[:5])
    np.testing.assert_allclose(few, expected[:5], rtol=1e-6)
    for bad in (np.arange(60.0), [[1, 2], [3]] * 30, 3.0):
        for call in (lambda bad=bad: network.fit(bad, y), lambda bad=bad: network.predict(bad)):
            with pytest.raises(ValueError, match="Expected 2D array"):
                call()


def test_numbers_next_to_the_largest_are_looked_through_without_a_warning():
    X = np.where(np.arange(120).reshape(30, 4) % 2, 1, -1) * np.finfo(np.float32).max
    y = np.arange(30) % 2
    for rows in (X, X.astype(np.float32), sp.csr_array(X)):
        network = ScaledMLPClassifier(max_epochs=1, random_state=0, width=4)
        fitted, error = attempt(lambda network=network, rows=rows: network.fit(rows, y))
        assert error is not None or np.isfinite(fitted.predict_proba(rows)).all()


def test_pixels_that_hardly_differ_are_constant():
    X = np.random.default_rng(0).integers(0, 9, (30, 4, 4)) * 1e-44
    network = ScaledCNNClassifier(width=4, max_epochs=1, random_state=0)
    assert network.fit(X, np.arange(30) % 2).pixel_scale_ == 1
    assert np.isfinite(network.predict_proba(X)).all()


def test_a_score_beyond_float32_is_unchanged():
    rng = np.random.default_rng(0)
    network = ScaledMLPRegressor(
        precision="float64", weight_decay=1e30, learning_rate=0.01, batch_size=19, width=6,
        max_epochs=2, random_state=0,
    )  # fmt: skip
    X, y = np.clip(rng.standard_normal((12, 8)) * 10, 0, None), rng.random(12)
    fitted, error = attempt(lambda: network.fit(X, y))
    assert error is None
    assert np.isfinite(fitted.validation_scores_).all()
    assert fitted.validation_scores_.min() < -float(FLOAT32.max)
