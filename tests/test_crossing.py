"""The crossing test: {container and dtype at fit} x {at predict} x {rows} x {prediction path}.

A case is fitted once on logical rows: Python values in column "a", where None is missing, and
plain numbers in "x" and "z". At predict the same logical rows come in other containers and
dtypes, or with other values. The estimator, its pickle, its frozen predictor and its file must
give one answer: equal predictions, or an error of the same type and words. The ONNX graph must
agree wherever its input types hold the values.

The default run takes a fixed sample that covers every case, container, change of the values
and `transform_output`. The whole product, and new examples of Hypothesis, run with
`python -m pytest -m slow tests/test_crossing.py`.
"""

import datetime
import functools
import pickle
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import onnxruntime
import pytest
import scipy.sparse as sp
import skl2onnx
import sklearn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

import skscale
import skscale.onnx  # registers the converters
from skscale import ScaledMLPClassifier, ScaledMLPRegressor

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")

N_FIT, N_PREDICT = 200, 500
# One row without and one with a missing value, few rows, and one row more than few.
SLICES = {
    "1 row": slice(4, 5),
    "1 row, missing": slice(3, 4),
    "32 rows": slice(0, 32),
    "33 rows": slice(10, 43),
    "500 rows": slice(0, N_PREDICT),
}
BRIEF = ["1 row", "1 row, missing", "33 rows"]
OUTPUTS = ["default", "pandas", "polars"]

# Logical rows


@dataclass(frozen=True)
class Rows:
    """Rows of a table: any values in "a", None if missing; whole numbers in "x" and "z"."""

    a: list
    x: list
    z: list

    def __len__(self):
        return len(self.a)

    def __getitem__(self, rows):
        return Rows(self.a[rows], self.x[rows], self.z[rows])

    def with_a(self, a):
        return replace(self, a=a)


# Few distinct values, all of them frequent: none is an infrequent category. float32 and decimal
# text hold all numbers exactly.
FAMILIES = {
    "reals": [-1.5, -0.25, 0.0, 0.5, 1.75, 2.0, 3.25, 8.0],
    "wholes": [0, 1, 2, 3, 5, 7],
    "bits": [False, True],
    "words": ["red", "green", "blue", "deep sea"],
    "codes": ["007", "012", "100", "105"],
    "mixed": ["red", "green", 1, 2.5],
}
UNKNOWN = "never seen"


@functools.cache
def make_rows(family, has_gaps, n, seed):
    rng = np.random.default_rng(seed)
    values = FAMILIES[family]
    a = [values[code] for code in rng.integers(0, len(values), n)]
    if has_gaps:
        a[3::7] = [None] * len(a[3::7])
    # A NumPy array of bools holds nothing else in "x" and "z" either.
    x, z = rng.integers(0, 2 if family == "bits" else 10, (2, n)).astype(float).tolist()
    return Rows(a, x, z)


def make_score(rows, family):
    """Return numbers that depend on all columns."""
    place = {value: code for code, value in enumerate(FAMILIES[family])}
    codes = np.array([-1 if value is None else place[value] for value in rows.a])
    return codes * 3 / len(place) + np.array(rows.x) / max(rows.x) + np.array(rows.z)


# Containers


def is_number(value):
    return isinstance(value, (bool, int, float))


def is_missing(value):
    return value is None


def is_finite(value):
    return is_number(value) and np.isfinite(value)


def of(*kinds):
    """Return a predicate: whether each value is of one kind; all of them of the same."""
    return lambda values: any(all(map(kind, values)) for kind in kinds)


def or_missing(kind):
    return lambda value: value is None or kind(value)


def is_whole(value):
    return is_finite(value) and float(value).is_integer()


def is_bit(value):
    return is_number(value) and value in (0, 1)


def is_word(value):
    return isinstance(value, str)


numbers, numbers_or_gaps = of(is_number), of(or_missing(is_number))
words_or_gaps = of(or_missing(is_word))
alike = of(or_missing(is_number), or_missing(is_word))


def anything(values):
    return True


@dataclass(frozen=True)
class Way:
    """A container of one dtype: how logical rows are put in it, and which values it holds."""

    make: Callable
    holds: Callable
    has_names: bool = True


def text_of(number):
    """Return a number as decimal text, a bool as 0 or 1."""
    return str(int(number)) if isinstance(number, bool) else str(number)


def fill(values, missing, cast=None):
    """Return the values as a list with other missing values, and cast all else."""
    return [missing if v is None else v if cast is None else cast(v) for v in values]


def as_array(dtype):
    def make(rows):
        return np.column_stack([fill(rows.a, np.nan, float), rows.x, rows.z]).astype(dtype)

    return make


def as_objects(*missing):
    """Rows of Python objects; the missing values take turns."""

    def make(rows):
        a = [missing[i % len(missing)] if v is None else v for i, v in enumerate(rows.a)]
        array = np.empty((len(rows), 3), dtype=object)
        array[:, 0], array[:, 1], array[:, 2] = a, rows.x, rows.z
        return array

    return make


def as_lists(rows):
    return as_objects(None)(rows).tolist()


def as_text_array(rows):
    return np.array([[str(value) for value in row] for row in as_lists(rows)])


def as_csr(rows):
    return sp.csr_array(as_array(np.float64)(rows))


def in_pandas(column):
    def make(rows):
        # An index of its own: rows are told apart by place.
        index = np.arange(len(rows))[::-1] * 3
        table = {"a": pd.Series(column(rows.a), index=index), "x": rows.x, "z": rows.z}
        return pd.DataFrame(table, index=index)

    return make


def in_polars(column):
    return lambda rows: pl.DataFrame({"a": column(rows.a), "x": rows.x, "z": rows.z})


def in_arrow(column):
    return lambda rows: pa.table({"a": column(rows.a), "x": rows.x, "z": rows.z})


def as_records(rows):
    return pd.DataFrame(
        [{"a": a, "x": x, "z": z} for a, x, z in zip(rows.a, rows.x, rows.z, strict=True)]
    )


def pandas_of(dtype, missing=None, cast=None):
    return lambda values: pd.array(fill(values, missing, cast), dtype=dtype)


def pandas_objects(missing):
    return lambda values: pd.Series(fill(values, missing), dtype=object).array


def pandas_category(values):
    # The categories of mixed values have no order.
    known = sorted({v for v in values if v is not None}, key=lambda v: (str(type(v)), v))
    return pd.Categorical(values, categories=known)


def arrow_array(values):
    cast = float if any(map(is_number, values)) else None
    kind = pa.float64() if cast else pa.string()
    return pa.array(fill(values, None, cast), type=kind)


def arrow_dictionary(values):
    return arrow_array(values).dictionary_encode()


def pandas_arrow(convert):
    return lambda values: pd.arrays.ArrowExtensionArray(convert(values))


def polars_of(dtype, cast=None):
    return lambda values: pl.Series(fill(values, None, cast), dtype=dtype)


def polars_enum(values):
    known = sorted({v for v in values if v is not None}) or ["red"]
    return pl.Series(values, dtype=pl.Enum(known))


def double(values):
    return pandas_of(pd.ArrowDtype(pa.float64()), cast=float)(values)


# The columns of pandas, by dtype: (column of values, predicate).
PANDAS = {
    "float64": (pandas_of("float64", np.nan, float), numbers_or_gaps),
    "float32": (pandas_of("float32", np.nan, float), numbers_or_gaps),
    "int64": (pandas_of("int64", cast=int), of(is_whole)),
    "int8": (pandas_of("int8", cast=int), of(is_whole)),
    "bool": (pandas_of("bool", cast=bool), of(is_bit)),
    "Int64": (pandas_of("Int64", pd.NA, int), of(or_missing(is_whole))),
    "Float64": (pandas_of("Float64", pd.NA, float), numbers_or_gaps),
    "boolean": (pandas_of("boolean", pd.NA, bool), of(or_missing(is_bit))),
    "object, None": (pandas_objects(None), anything),
    "object, NaN": (pandas_objects(np.nan), anything),
    "object, NA": (pandas_objects(pd.NA), anything),
    "object, NaT": (pandas_objects(pd.NaT), anything),
    "category": (pandas_category, anything),
    "str": (pandas_of("str"), words_or_gaps),
    "string": (pandas_of("string[python]"), words_or_gaps),
    "string[pyarrow]": (pandas_of("string[pyarrow]"), words_or_gaps),
    "double[pyarrow]": (double, numbers_or_gaps),
    "int64[pyarrow]": (
        pandas_of(pd.ArrowDtype(pa.int64()), cast=int), of(or_missing(is_whole))
    ),
    "bool[pyarrow]": (pandas_of(pd.ArrowDtype(pa.bool_()), cast=bool), of(or_missing(is_bit))),
    "large_string[pyarrow]": (pandas_of(pd.ArrowDtype(pa.large_string())), words_or_gaps),
    "dictionary[pyarrow]": (pandas_arrow(arrow_dictionary), alike),
    "null[pyarrow]": (pandas_arrow(pa.array), of(is_missing)),
}  # fmt: skip
POLARS = {
    "Float64": (polars_of(pl.Float64, float), numbers_or_gaps),
    "Float32": (polars_of(pl.Float32, float), numbers_or_gaps),
    "Int32": (polars_of(pl.Int32, int), of(or_missing(is_whole))),
    "Boolean": (polars_of(pl.Boolean, bool), of(or_missing(is_bit))),
    "String": (polars_of(pl.String), words_or_gaps),
    "Categorical": (polars_of(pl.Categorical), words_or_gaps),
    "Enum": (polars_enum, words_or_gaps),
    "Object": (polars_of(pl.Object), anything),
    "Null": (polars_of(pl.Null), of(is_missing)),
}
WAYS = {
    "float64 array": Way(as_array(np.float64), numbers_or_gaps, False),
    "float32 array": Way(as_array(np.float32), numbers_or_gaps, False),
    "int64 array": Way(as_array(np.int64), of(is_whole), False),
    "uint8 array": Way(as_array(np.uint8), of(is_whole), False),
    "bool array": Way(as_array(bool), of(is_bit), False),
    "object array": Way(as_objects(None), anything, False),
    "object array, None, NaN and NA": Way(as_objects(None, np.nan, pd.NA), anything, False),
    "text array": Way(as_text_array, of(is_word), False),
    "lists": Way(as_lists, anything, False),
    "CSR": Way(as_csr, numbers, False),
    **{f"pandas {name}": Way(in_pandas(c), holds) for name, (c, holds) in PANDAS.items()},
    "pandas records": Way(as_records, anything),
    **{f"polars {name}": Way(in_polars(c), holds) for name, (c, holds) in POLARS.items()},
    "Arrow table": Way(in_arrow(arrow_array), alike),
    "Arrow table, dictionary": Way(in_arrow(arrow_dictionary), alike),
}

# Cases


@dataclass(frozen=True)
class Case:
    """A fit: logical values, the container that holds them, and how the column is read."""

    family: str
    way: str
    has_gaps: bool = False
    is_text: bool = False  # numbers come as text
    is_categorical: bool = False
    parameters: dict = field(default_factory=dict)
    Estimator: type = ScaledMLPClassifier

    @property
    def has_names(self):
        return WAYS[self.way].has_names

    def holds(self, rows):
        return WAYS[self.way].holds(self.write(rows).a)

    @property
    def own_change(self):
        """Return the change of the logical values that the container of the fit holds."""
        return "numbers as text" if self.is_text else "same values"

    def write(self, rows):
        return rows.with_a(fill(rows.a, None, text_of)) if self.is_text else rows

    def convert(self, rows):
        """Return logical rows in the container of the fit."""
        return WAYS[self.way].make(self.write(rows))

    def rows(self, n=N_PREDICT, seed=1):
        return make_rows(self.family, self.has_gaps, n, seed)


def numeric(family, way, has_gaps=False, **options):
    return Case(family, way, has_gaps, **options)


def categorical(family, way, has_gaps=False, **options):
    return Case(family, way, has_gaps, is_categorical=True, **options)


BY_PLACE = {"categorical_features": [0]}
CASES = {
    "float64 array": numeric("reals", "float64 array"),
    "float64 array, NaN": numeric("reals", "float64 array", True),
    "float32 array": numeric("reals", "float32 array"),
    "int64 array": numeric("wholes", "int64 array"),
    "uint8 array": numeric("wholes", "uint8 array"),
    "bool array": numeric("bits", "bool array"),
    "object array": numeric("reals", "object array", True),
    "lists": numeric("reals", "lists", True),
    "CSR": numeric("reals", "CSR"),
    "pandas float64": numeric("reals", "pandas float64", True),
    "pandas float32": numeric("reals", "pandas float32"),
    "pandas int64": numeric("wholes", "pandas int64"),
    "pandas int8": numeric("wholes", "pandas int8"),
    "pandas bool": numeric("bits", "pandas bool"),
    "pandas Int64": numeric("wholes", "pandas Int64", True),
    "pandas Float64": numeric("reals", "pandas Float64", True),
    "pandas boolean": numeric("bits", "pandas boolean", True),
    "pandas object, None": numeric("reals", "pandas object, None", True),
    "pandas object, NA": numeric("reals", "pandas object, NA", True),
    "pandas object, NaN": numeric("reals", "pandas object, NaN", True),
    "pandas object, NaT": numeric("reals", "pandas object, NaT", True),
    "pandas object of ints, NA": numeric("wholes", "pandas object, NA", True),
    "pandas object of bools, None": numeric("bits", "pandas object, None", True),
    "pandas category": categorical("words", "pandas category"),
    "pandas category of ints, missing": categorical("wholes", "pandas category", True),
    "pandas category of bools": categorical("bits", "pandas category"),
    "pandas str": categorical("words", "pandas str", True),
    "pandas string[pyarrow]": categorical("words", "pandas string[pyarrow]", True),
    "pandas object of words": categorical("words", "pandas object, None"),
    "pandas object of words, None": categorical("words", "pandas object, None", True),
    "pandas object of words, NA": categorical("words", "pandas object, NA", True),
    "pandas double[pyarrow]": numeric("reals", "pandas double[pyarrow]", True),
    "pandas int64[pyarrow]": numeric("wholes", "pandas int64[pyarrow]", True),
    "pandas bool[pyarrow]": numeric("bits", "pandas bool[pyarrow]", True),
    "pandas large_string[pyarrow]": categorical("words", "pandas large_string[pyarrow]", True),
    "pandas dictionary[pyarrow]": categorical("words", "pandas dictionary[pyarrow]", True),
    "pandas object of text numbers": numeric("reals", "pandas object, None", is_text=True),
    "pandas str of text numbers": numeric("reals", "pandas str", True, is_text=True),
    "pandas object of codes": categorical("codes", "pandas object, None"),
    "pandas str of codes": categorical("codes", "pandas str"),
    "polars Float64": numeric("reals", "polars Float64", True),
    "polars Int32": numeric("wholes", "polars Int32"),
    "polars Boolean": numeric("bits", "polars Boolean"),
    "polars String": categorical("words", "polars String", True),
    "polars Categorical": categorical("words", "polars Categorical"),
    "polars Enum": categorical("words", "polars Enum", True),
    "polars text numbers": numeric("reals", "polars String", True, is_text=True),
    "Arrow table": numeric("reals", "Arrow table", True),
    "Arrow table of words": categorical("words", "Arrow table", True),
    "by place, object array": categorical("words", "object array", True, parameters=BY_PLACE),
    "by place, lists": categorical("mixed", "lists", parameters=BY_PLACE),
    "by place, float64 array": categorical("wholes", "float64 array", parameters=BY_PLACE),
    "regressor, pandas float64": numeric(
        "reals", "pandas float64", True, Estimator=ScaledMLPRegressor
    ),
    "regressor, pandas str": categorical("words", "pandas str", Estimator=ScaledMLPRegressor),
}

# Prediction paths


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator by all ways to its predictions, and the scale of its outputs."""

    case: Case
    paths: dict
    scale: float


def make_paths(estimator):
    with tempfile.TemporaryDirectory() as folder:
        skscale.save(estimator, f"{folder}/estimator")
        saved = skscale.load(f"{folder}/estimator")
    return {
        "estimator": estimator,
        "pickled": pickle.loads(pickle.dumps(estimator)),
        "frozen": skscale.freeze(estimator),
        "saved": saved,
    }


@functools.cache
def fit(name, output=None):
    """Fit a case under a `transform_output`, by default each case under another one."""
    case = CASES[name]
    rows = case.rows(N_FIT, seed=0)
    score = make_score(rows, case.family)
    classifies = case.Estimator is ScaledMLPClassifier
    estimator = case.Estimator(
        depth=1, width=8, max_epochs=2, random_state=0, **case.parameters
    )
    if output is None:
        output = OUTPUTS[[*CASES].index(name) % len(OUTPUTS)]
    with sklearn.config_context(transform_output=output):
        estimator.fit(case.convert(rows), score > np.median(score) if classifies else score)
        return Fitted(case, make_paths(estimator), 1.0 if classifies else np.std(score))


def answer(predictor, X):
    """Return an array or (type, message), and the set of (type, message) of warnings."""

    def words(error):
        return type(error), str(error)

    predict = getattr(predictor, "predict_proba", predictor.predict)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            outcome = predict(X)
        except Exception as error:  # which ones are right is asserted
            outcome = words(error)
    return outcome, {words(warning.message) for warning in caught}


def answers(predictors, X):
    """Return the answer on each path."""
    return {path: answer(predictor, X) for path, predictor in predictors.items()}


def answers_are_equal(found, expected, tolerance):
    if isinstance(found, tuple) or isinstance(expected, tuple):
        return isinstance(found, tuple) and isinstance(expected, tuple) and found == expected
    return found.shape == expected.shape and np.abs(found - expected).max() <= tolerance


def tell(outcome, expected=None):
    """Describe an outcome for the report of a failure."""
    if isinstance(outcome, tuple):
        return f"{outcome[0].__name__}: {outcome[1][:120]!r}"
    if expected is None or isinstance(expected, tuple) or outcome.shape != expected.shape:
        return f"predictions of shape {outcome.shape}"
    return f"predictions off by {np.abs(outcome - expected).max():.1g}"


def is_error(outcome, kind):
    return isinstance(outcome, tuple) and issubclass(outcome[0], kind)


def list_warnings(caught):
    return sorted(f"{kind.__name__}: {text}" for kind, text in caught)


def find_split(found, tolerance):
    """Return in which way the paths disagree, as a list of at most one sentence."""
    (first, (expected, expected_warnings)), *others = found.items()
    for path, (outcome, caught) in others:
        if not answers_are_equal(outcome, expected, tolerance):
            own = tell(expected)
            return [f"paths disagree: {first} {own}, {path} {tell(outcome, expected)}"]
        if caught != expected_warnings:
            own, other = list_warnings(expected_warnings), list_warnings(caught)
            return [f"warnings disagree: {first} {own}, {path} {other}"]
    return []


# Logical values at predict


def every(step, values, other):
    """Return the values with one in `step` replaced, the first among them."""
    return [other if i % step == 0 else value for i, value in enumerate(values)]


def mix(values):
    others = [3, UNKNOWN, 2.5, None, True, "1"]
    return [others[i // 2 % 6] if i % 2 else value for i, value in enumerate(values)]


def as_numbers(values):
    """Numbers instead of words, those of codes instead of codes: 7 for "007"."""
    return fill(values, None, lambda v: int(v) if v.isdigit() else len(v))


def takes_numbers(case):
    return not case.is_categorical


def has_words(case):
    return case.family in ("words", "codes")


def has_numbers(case):
    return case.family in ("reals", "wholes", "bits")


def is_categorical(case):
    return case.is_categorical


def has_gaps(case):
    return case.has_gaps


def for_all(case):
    return True


# Each change of the values, given those of the family, and the cases that it is for.
CHANGES = {
    "same values": (lambda values, known: values, for_all),
    "none missing": (lambda values, known: fill(values, known[0]), has_gaps),
    "all missing": (lambda values, known: [None] * len(values), for_all),
    "some missing": (lambda values, known: every(3, values, None), for_all),
    "numbers as text": (lambda values, known: fill(values, None, text_of), has_numbers),
    "a word": (lambda values, known: every(2, values, UNKNOWN), for_all),
    "an unknown number": (lambda values, known: every(2, values, 77), is_categorical),
    "numbers for words": (lambda values, known: as_numbers(values), has_words),
    "mixed values": (lambda values, known: mix(values), is_categorical),
}


def change_rows(case, change, size):
    """Return logical rows of one of SLICES with other values."""
    rows = case.rows()[SLICES[size]]
    make_values, _ = CHANGES[change]
    return rows.with_a(make_values(rows.a, FAMILIES[case.family]))


def find_meaning(case, values):
    """Return the values as the fitted column has to read them, unknown categories as one.

    Raises
    ------
    ValueError
        If a word in a column of numbers is no number.
    """
    if not case.is_categorical:
        return fill(values, None, float)
    known = FAMILIES[case.family]
    return fill(values, None, lambda v: known[known.index(v)] if v in known else UNKNOWN)


@functools.cache
def can_hold(way, change, name):
    case = CASES[name]
    _, is_for = CHANGES[change]
    if not is_for(case) or (way == "CSR" and case.is_categorical):
        return False
    return WAYS[way].holds(change_rows(case, change, "500 rows").a)


def plain_way(case):
    """Return the container that is nearest to the values."""
    if case.is_categorical:
        return "pandas object, None" if case.has_names else "object array"
    return "pandas float64" if case.has_names else "float64 array"


@functools.cache
def expect_answer(name, change, size):
    """Return what the estimator answers to rows of one meaning in the container of the fit.

    Where that cannot hold them (a missing value among ints), in the plainest that can. None
    if they must be refused.
    """
    fitted = fit(name)
    case = fitted.case
    logical = change_rows(case, change, size)
    try:
        logical = logical.with_a(find_meaning(case, logical.a))
    except ValueError:
        return None
    is_held = UNKNOWN not in logical.a and case.holds(logical)
    X = case.convert(logical) if is_held else WAYS[plain_way(case)].make(logical)
    return answer(fitted.paths["estimator"], X)[0]


def names_the_column(message):
    return "'a'" in message or "olumn 0" in message


def find_problems(name, way, change, size, output):
    """Return in which way the answers to one table are wrong, as a list of sentences."""
    fitted = fit(name)
    case = fitted.case
    X = WAYS[way].make(change_rows(case, change, size))
    with sklearn.config_context(transform_output=output):
        found = answers(fitted.paths, X)
    problems = find_split(found, 1e-6 * fitted.scale)
    outcome, caught = found["estimator"]
    expected = expect_answer(name, change, size)
    if expected is None:
        if not is_error(outcome, ValueError) or not names_the_column(outcome[1]):
            problems.append(f"expected a ValueError that names 'a', got {tell(outcome)}")
    elif isinstance(expected, tuple) and case.way != "CSR":  # CSR: no value may be missing
        problems.append(f"the plain container is refused: {tell(expected)}")
    elif not answers_are_equal(outcome, expected, 1e-6 * fitted.scale):
        problems.append(f"expected equal predictions, got {tell(outcome, expected)}")
    if not isinstance(outcome, tuple):
        is_warned = any("feature names" in message for _, message in caught)
        if is_warned != (case.has_names != WAYS[way].has_names):
            problems.append(
                f"expected a warning only of missing names, got {list_warnings(caught)}"
            )
        elif len(caught) > is_warned:
            problems.append(f"expected no other warning, got {list_warnings(caught)}")
    return [f"{name} | {way} | {change} | {size} | {output}: {text}" for text in problems]


def report(problems):
    if problems:
        pytest.fail(f"{len(problems)} problems:\n" + "\n".join(problems), pytrace=False)


# The sample


@functools.cache
def take_sample():
    """Return (case, container, change, transform_output) of the default run.

    Each case has the four containers and the two changes that were used least so far.
    """
    used, sample = Counter(), []

    def take_least(candidates, key):
        taken = min(candidates, key=lambda candidate: used[key(candidate)])
        used[key(taken)] += 1
        return taken

    for name, case in CASES.items():
        for step in range(6):
            taken = {(way, change) for _, way, change, _ in sample if _ == name}
            pairs = [
                (way, change)
                for change in CHANGES
                for way in WAYS
                if (way, change) not in taken
                and (step < 4) == (change == "same values")
                and (way, change) != (case.way, case.own_change)
                and can_hold(way, change, name)
            ]
            if step >= 4:
                change = take_least([change for _, change in pairs], lambda change: change)
                pairs = [pair for pair in pairs if pair[1] == change]
            way, change = take_least(pairs, lambda pair: pair[0])
            sample.append((name, way, change, OUTPUTS[len(sample) % len(OUTPUTS)]))
    return sample


# Tests


def test_the_sample_covers_all_cases_containers_changes_and_settings():
    names, ways, changes, outputs = map(set, zip(*take_sample(), strict=True))
    assert names == {*CASES}
    assert ways == {*WAYS}
    assert changes == {*CHANGES}
    assert outputs == {*OUTPUTS}
    assert {kind for name in CASES for kind in sample_bad(name)} == {*BAD}
    assert len(CASES) >= 25


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_rows_has_one_answer_on_all_paths(name):
    fitted = fit(name)
    case = fitted.case
    output = OUTPUTS[[*CASES].index(name) % 3]
    full, _ = answer(fitted.paths["estimator"], case.convert(case.rows()))
    problems = []
    for size, places in SLICES.items():
        problems += find_problems(name, case.way, case.own_change, size, output)
        X = case.convert(case.rows()[places])
        outcome, _ = answer(fitted.paths["estimator"], X)
        expected = full if isinstance(full, tuple) else full[places]
        if not answers_are_equal(outcome, expected, 1e-6 * fitted.scale):
            told = tell(outcome, expected)
            problems.append(f"{name} | {size}: expected those of {N_PREDICT} rows, got {told}")
    report(problems)
    if case.Estimator is ScaledMLPClassifier:
        for path, predictor in fitted.paths.items():
            labels = predictor.classes_[predictor.predict_proba(X).argmax(axis=1)]
            np.testing.assert_array_equal(predictor.predict(X), labels, err_msg=path)


@pytest.mark.parametrize("name", CASES)
def test_other_values_have_one_answer_in_the_container_of_the_fit(name):
    problems = []
    for step, change in enumerate(CHANGES):
        if change != CASES[name].own_change and can_hold(CASES[name].way, change, name):
            for size in BRIEF:
                problems += find_problems(
                    name, CASES[name].way, change, size, OUTPUTS[step % 3]
                )
    report(problems)


@pytest.mark.parametrize("name", CASES)
def test_equal_values_have_equal_predictions_in_other_containers(name):
    problems = []
    for case, way, change, output in take_sample():
        if case == name:
            for size in BRIEF:
                problems += find_problems(name, way, change, size, output)
    report(problems)


@pytest.mark.slow
@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", CASES)
def test_equal_values_have_equal_predictions_in_all_containers(name, output):
    problems = []
    for way in WAYS:
        for change in CHANGES:
            if can_hold(way, change, name):
                for size in SLICES if change == "same values" else BRIEF:
                    problems += find_problems(name, way, change, size, output)
    report(problems)


def values_at_fit(case):
    return case.family, case.has_gaps, case.is_categorical, case.Estimator, case.way == "CSR"


@pytest.mark.parametrize(
    "output", [None, *(pytest.param(o, marks=pytest.mark.slow) for o in OUTPUTS)]
)
@pytest.mark.parametrize("name", CASES)
def test_fits_on_equal_values_are_equal_in_any_container(name, output):
    case = CASES[name]
    first = next(n for n in CASES if values_at_fit(CASES[n]) == values_at_fit(case))
    fitted, other = fit(name, output), fit(first)
    logical = case.rows()[:33]
    outcome, _ = answer(fitted.paths["estimator"], case.convert(logical))
    expected, _ = answer(other.paths["estimator"], other.case.convert(logical))
    # float32 rows are encoded in float32.
    assert answers_are_equal(outcome, expected, 1e-5 * fitted.scale), tell(outcome, expected)


# Tables that must be refused


def frame_of(case, column, rows):
    """Return a frame, or its values as an array of objects if the fit had no names."""
    frame = pd.DataFrame({"a": column, "x": rows.x, "z": rows.z})
    return frame if case.has_names else frame.to_numpy(dtype=object)


def plain(case, rows):
    return WAYS[plain_way(case)].make(rows)


def with_infinity(case, rows):
    return plain(case, replace(rows, x=every(2, rows.x, float("inf"))))


def with_infinity_in_a(case, rows):
    return plain(case, rows.with_a(every(2, rows.a, -float("inf"))))


def with_more(case, rows):
    X = plain(case, rows)
    return X.assign(more=1.0) if case.has_names else np.column_stack([X, rows.x])


def with_fewer(case, rows):
    X = plain(case, rows)
    return X.drop(columns="z") if case.has_names else X[:, :2]


def with_twins(case, rows):
    return plain(case, rows).set_axis(["a", "x", "x"], axis=1)


def days(rows):
    return pd.date_range("2024-02-29", periods=len(rows))


def of_dates(case, rows):
    return frame_of(case, [day.date() for day in days(rows)], rows)


def of_timestamps(case, rows):
    return frame_of(case, pd.Series([*days(rows)], dtype=object), rows)


def of_times(case, rows):
    if case.has_names:
        return frame_of(case, days(rows), rows)
    return np.array([[day] * 3 for day in days(rows).to_numpy()])


def of_arrow_times(case, rows):
    return frame_of(case, pd.array(days(rows), dtype=pd.ArrowDtype(pa.timestamp("us"))), rows)


def of_polars_dates(case, rows):
    first = datetime.date(2024, 2, 29)
    return pl.DataFrame({"a": [first] * len(rows), "x": rows.x, "z": rows.z})


def of_lists_in_cells(case, rows):
    return frame_of(case, pd.Series([[1, 2]] * len(rows), dtype=object), rows)


@dataclass(frozen=True)
class Bad:
    """A table that is refused: the error and its words, None for the name of the column."""

    make: Callable
    error: type | None  # None is any answer, of all paths alike
    message: str | None = ""
    is_for: Callable = lambda case: True


def has_names(case):
    return case.has_names


def has_named_numbers(case):
    return has_names(case) and takes_numbers(case)


def has_others(case):
    return not has_named_numbers(case)


def with_other_name(case, rows):
    return plain(case, rows).rename(columns={"x": "y"})


def in_another_order(case, rows):
    return plain(case, rows)[["x", "a", "z"]]


DATES = {
    "times": of_times,
    "dates as objects": of_dates,
    "timestamps as objects": of_timestamps,
    "Arrow times": of_arrow_times,
    "polars dates": of_polars_dates,
}
OTHER_NAMES = "feature names should match"
BAD = {
    "infinity": Bad(with_infinity, ValueError, "infinity"),
    "infinity in a": Bad(with_infinity_in_a, ValueError, "infinity", takes_numbers),
    "a column more": Bad(with_more, ValueError, "eature"),
    "a column less": Bad(with_fewer, ValueError, "eature"),
    "a column renamed": Bad(with_other_name, ValueError, OTHER_NAMES, has_names),
    "another order": Bad(in_another_order, ValueError, OTHER_NAMES, has_names),
    "two columns of one name": Bad(with_twins, ValueError, "", has_names),
    "no rows": Bad(lambda case, rows: plain(case, rows[:0]), ValueError, "0 sample"),
    "one dimension": Bad(lambda case, rows: np.array(rows.x), ValueError, "2D array"),
    "None": Bad(lambda case, rows: None, ValueError, "X is None"),
    "lists in cells": Bad(of_lists_in_cells, None),
}
for _kind, _make in DATES.items():
    BAD[f"{_kind} for numbers"] = Bad(_make, TypeError, None, has_named_numbers)
    # In a column of categories they may be unknown categories.
    BAD[f"{_kind} for others"] = Bad(_make, None, None, has_others)


def find_bad_problems(name, kind, output):
    fitted, bad = fit(name), BAD[kind]
    problems = []
    for size in ("1 row", "33 rows"):
        logical = fitted.case.rows()[SLICES[size]]
        with sklearn.config_context(transform_output=output):
            found = answers(fitted.paths, bad.make(fitted.case, logical))
        outcome, _ = found["estimator"]
        texts = find_split(found, 1e-6 * fitted.scale)
        if bad.error is not None:
            is_right = is_error(outcome, bad.error) and (
                names_the_column(outcome[1])
                if bad.message is None
                else bad.message in outcome[1]
            )
            if not is_right:
                wanted = "the column" if bad.message is None else repr(bad.message)
                texts.append(
                    f"expected {bad.error.__name__} naming {wanted}, got {tell(outcome)}"
                )
        problems += [f"{name} | {kind} | {size} | {output}: {text}" for text in texts]
    return problems


def sample_bad(name):
    """Return every third kind of bad tables, and other ones for the next case."""
    kinds = [kind for kind in BAD if BAD[kind].is_for(CASES[name])]
    return kinds[[*CASES].index(name) % 3 :: 3]


@pytest.mark.parametrize("name", CASES)
def test_bad_tables_are_refused_in_the_same_words_on_all_paths(name):
    problems = []
    for step, kind in enumerate(sample_bad(name)):
        problems += find_bad_problems(name, kind, OUTPUTS[step % 3])
    report(problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_all_bad_tables_are_refused_in_the_same_words_on_all_paths(name):
    problems = []
    for kind in BAD:
        if BAD[kind].is_for(CASES[name]):
            for output in OUTPUTS:
                problems += find_bad_problems(name, kind, output)
    report(problems)


@pytest.mark.parametrize("kind", DATES)
def test_dates_are_refused_at_fit_by_the_name_of_their_column(kind):
    case = CASES["pandas float64"]
    X = DATES[kind](case, case.rows()[:60])
    with pytest.raises(TypeError, match="'a'"):
        ScaledMLPClassifier(max_epochs=1, random_state=0).fit(X, np.arange(60) % 2)


# ONNX


def find_tensor(case):
    """Return the type of the column's tensor; none holds words and numbers."""
    if case.family == "mixed":
        return None
    if has_words(case):
        return StringTensorType
    return FloatTensorType if "float32" in case.way else DoubleTensorType


@functools.cache
def open_session(name):
    fitted = fit(name)
    tensor = find_tensor(fitted.case)
    number = FloatTensorType if tensor is FloatTensorType else DoubleTensorType
    types = [(column, number([None, 1])) for column in ("x", "z")]
    classifies = fitted.case.Estimator is ScaledMLPClassifier
    graph = skl2onnx.to_onnx(
        fitted.paths["estimator"],
        initial_types=[("a", tensor([None, 1])), *types],
        options={"zipmap": False} if classifies else None,
    )
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def feed(rows, tensor):
    dtype = np.float32 if tensor is FloatTensorType else np.float64
    if tensor is StringTensorType:
        a = np.array(fill(rows.a, ""), dtype=object)
    else:
        a = np.array(fill(rows.a, np.nan, float), dtype)
    columns = {"a": a, "x": np.array(rows.x, dtype), "z": np.array(rows.z, dtype)}
    return {name: column[:, None] for name, column in columns.items()}


@pytest.mark.parametrize("name", [name for name in CASES if find_tensor(CASES[name])])
def test_a_graph_predicts_as_its_estimator_all_values_that_its_inputs_hold(name):
    fitted = fit(name)
    case = fitted.case
    tensor = find_tensor(case)
    holds = words_or_gaps if tensor is StringTensorType else numbers_or_gaps
    session = open_session(name)
    problems = []
    for change, (_, is_for) in CHANGES.items():
        for size in SLICES if is_for(case) else ():
            logical = change_rows(case, change, size)
            # A tensor of strings has no missing value: it has words for them.
            if not holds(logical.a):
                continue
            found = session.run(None, feed(logical, tensor))[-1]
            expected = expect_answer(name, change, size)
            if isinstance(expected, tuple) and case.way == "CSR":
                continue  # fitted on a matrix without missing values
            if case.Estimator is ScaledMLPRegressor:
                found = found[:, 0]
            if not answers_are_equal(found, expected, 1e-5 * fitted.scale):
                told = f"graph {tell(found, expected)}, estimator {tell(expected)}"
                problems.append(f"{name} | {change} | {size}: {told}")
    report(problems)


# Mixed frames


@dataclass(frozen=True)
class Mixed:
    """Logical columns, the dtype of each at fit, and tables of the same or other values."""

    columns: dict
    dtypes: list
    chosen: list
    others: list
    output: str

    def at(self, places):
        return {name: [values[p] for p in places] for name, values in self.columns.items()}


def mixed_frame(columns, dtypes):
    pairs = zip(columns.items(), dtypes, strict=True)
    return pd.DataFrame({name: PANDAS[dtype][0](values) for (name, values), dtype in pairs})


def mixed_objects(columns):
    array = np.empty((len(next(iter(columns.values()))), len(columns)), dtype=object)
    for place, values in enumerate(columns.values()):
        array[:, place] = values
    return array


def dtypes_that_hold(values):
    return [dtype for dtype, (_, holds) in PANDAS.items() if holds(values)]


@st.composite
def mixed_frames(draw):
    n = draw(st.integers(6, 40))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    columns = {}
    for place in range(draw(st.integers(1, 5))):
        pool = FAMILIES[draw(st.sampled_from(["reals", "wholes", "bits", "words", "codes"]))]
        if is_number(pool[0]) and draw(st.integers(0, 3)) == 0:
            pool = [*map(text_of, pool)]
        values = [pool[code] for code in rng.integers(0, len(pool), n)]
        if draw(st.booleans()):
            values = [
                None if gap else v for v, gap in zip(values, rng.random(n) < 0.2, strict=True)
            ]
        columns[f"c{place}"] = values
    chosen = rng.permutation(n)[: draw(st.integers(1, n))].tolist()
    at_fit = [draw(st.sampled_from(dtypes_that_hold(v))) for v in columns.values()]
    some = [[values[p] for p in chosen] for values in columns.values()]
    others = [draw(st.sampled_from(dtypes_that_hold(v))) for v in some]
    return Mixed(columns, at_fit, chosen, others, draw(st.sampled_from(OUTPUTS)))


def check_mixed(mixed):
    """All paths agree on rows of a frame in any container; equal values have one prediction."""
    frame = mixed_frame(mixed.columns, mixed.dtypes)
    columns = mixed.at(mixed.chosen)
    objects = mixed_objects(columns)
    swapped = {name: UNKNOWN if i == 0 else v for i, (name, v) in enumerate(columns.items())}
    tables = {
        "rows": frame.iloc[mixed.chosen],
        "other dtypes": mixed_frame(columns, mixed.others),
        "object frame": pd.DataFrame(objects, columns=[*columns]),
        "object array": objects,
        "lists": objects.tolist(),
        "polars": pl.DataFrame(columns, strict=False),
        "unknown values": pd.DataFrame(swapped, index=range(len(objects))),
    }
    network = ScaledMLPClassifier(depth=1, width=4, max_epochs=1, random_state=0)
    problems = []
    with sklearn.config_context(transform_output=mixed.output):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning)  # of rare categories
            paths = make_paths(network.fit(frame, np.arange(len(frame)) % 2))
        expected = paths["estimator"].predict_proba(frame)[mixed.chosen]
        for kind, X in tables.items():
            found = answers(paths, X)
            problems += [f"{kind}: {text}" for text in find_split(found, 1e-6)]
            outcome, _ = found["estimator"]
            if kind != "unknown values" and not answers_are_equal(outcome, expected, 1e-6):
                told = tell(outcome, expected)
                problems.append(f"{kind}: expected equal predictions, got {told}")
    report(problems)


_COMMON = {
    "phases": (Phase.explicit, Phase.generate),
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


@settings(max_examples=25, derandomize=True, **_COMMON)
@given(mixed_frames())
def test_mixed_frames_have_one_answer_on_all_paths(mixed):
    check_mixed(mixed)


@pytest.mark.slow
@settings(max_examples=500, print_blob=True, **_COMMON)
@given(mixed_frames())
def test_many_mixed_frames_have_one_answer_on_all_paths(mixed):
    check_mixed(mixed)
