"""Tables as they come: scaling, categories, missing values, resolution."""

import pickle
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, freeze
from skscale.inference.encoding import find_quantiles, fit_encoding

FAST = {"max_epochs": 3, "width": 8, "random_state": 0}
NONE = {"n_categories": {}, "weights": None, "n_bins": 0}


def encode(X, **options):
    X = np.asarray(X, dtype=float)
    options = {**NONE, "preprocessing": "auto", "rows": np.arange(len(X)), **options}
    encoding = fit_encoding(X, **options)
    inputs = encoding.encode(X, np.float64)
    assert inputs.shape == (len(X), encoding.n_inputs)
    return encoding, inputs


def frame(n=400, seed=0):
    """Numbers, categories, strings and missing values, and a target of all of them."""
    rng = np.random.default_rng(seed)
    colour = rng.choice(["red", "green", "blue"], n)
    kind = rng.choice(["a", "b"], n)
    size = rng.lognormal(3, 2, n)
    y = (colour == "red") ^ (kind == "a") ^ (size > 20)
    size[rng.random(n) < 0.1] = np.nan
    table = pd.DataFrame({"size": size, "colour": colour, "kind": pd.Categorical(kind)})
    table.loc[rng.random(n) < 0.05, "colour"] = None
    return table, y.astype(int)


def to_polars(X):
    """Without pyarrow, which polars' own way needs."""
    columns = {}
    for name in X:
        values = X[name].astype(object)
        columns[name] = [None if pd.isna(value) else value for value in values]
    return pl.DataFrame(columns)


def test_numbers_are_centred_scaled_and_clipped_by_hand():
    _, inputs = encode([[0.0], [1], [2], [3], [4], [5], [6], [1000]])
    # Median 3, quartiles 1 and 5.
    t = (np.array([0, 1, 2, 3, 4, 5, 6, 1000]) - 3) / 4
    np.testing.assert_allclose(inputs[:, 0], t / np.sqrt(1 + (t / 3) ** 2), rtol=1e-14)
    assert 2.9 < inputs[-1, 0] < 3
    # Without a spread of the quartiles half the range counts; a constant is nothing.
    _, inputs = encode(np.array([[0] * 9 + [8], [7] * 10]).T)
    np.testing.assert_allclose(inputs[-1], [2 / np.sqrt(1 + (2 / 3) ** 2), 0])
    np.testing.assert_array_equal(inputs[:-1], 0)


def test_values_of_any_size_are_encoded_finitely():
    X = np.array([[-3e38], [-1], [0], [1e-200], [2e-200], [3e38]])
    for rows in (np.arange(6), np.array([2, 3, 4]), np.array([2])):
        _, inputs = encode(X, rows=rows)
        assert np.isfinite(inputs).all()
        assert np.abs(inputs).max() <= 3


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 100])
def test_quantiles_are_those_of_numpy_and_a_weight_is_a_repetition(n):
    rng = np.random.default_rng(n)
    x = rng.standard_normal((n, 3))
    weights = rng.integers(1, 4, n).astype(float)
    probabilities = np.array([0, 0.25, 0.5, 0.75, 1])
    expected = np.quantile(x, probabilities, axis=0, method="inverted_cdf")
    none = np.zeros(3, dtype=int)
    np.testing.assert_array_equal(find_quantiles(x.T, probabilities, None, none), expected)
    repeated = x.repeat(weights.astype(int), axis=0).T
    np.testing.assert_array_equal(
        find_quantiles(x.T, probabilities, weights, none),
        find_quantiles(repeated, probabilities, None, none),
    )
    with_gaps = np.vstack([x[: n // 2], np.full((2, 3), np.nan), x[n // 2 :]]).T
    np.testing.assert_array_equal(
        find_quantiles(with_gaps, probabilities, None, none + 2), expected
    )
    uneven = np.insert(weights, n // 2, [5, 7])
    np.testing.assert_array_equal(
        find_quantiles(with_gaps, probabilities, uneven, none + 2),
        find_quantiles(x.T, probabilities, weights, none),
    )


def test_missing_numbers_become_the_median_and_say_so():
    encoding, inputs = encode([[1.0, 1], [2, 2], [3, 3], [np.nan, 4]])
    np.testing.assert_array_equal(encoding.missing, [0])
    assert inputs[3, 0] == 0  # the median
    np.testing.assert_array_equal(inputs[:, 2], [0, 0, 0, 1])
    # A column that was complete has no say in where it is missing.
    np.testing.assert_array_equal(
        encoding.encode(np.array([[1.0, np.nan]]), np.float64)[0, 1:], [0, 0]
    )
    # Of a column without any value there is nothing to learn.
    _, inputs = encode([[np.nan, 1], [np.nan, 2]])
    assert inputs.shape == (2, 2)
    np.testing.assert_array_equal(inputs[:, 0], 0)


def test_piecewise_linear_bins_by_hand():
    X = np.array([[0.0], [10], [20], [30], [40]])
    encoding, inputs = encode(X, n_bins=2)
    np.testing.assert_array_equal(encoding.edges, [[0, 20, 40]])
    np.testing.assert_allclose(
        inputs[:, 1:] / encoding.bin_factor,
        [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]],
        atol=1e-12,
    )
    # Beyond the edges nothing changes.
    beyond = encoding.encode(np.array([[-10.0], [50], [1e6]]), np.float64)
    np.testing.assert_array_equal(beyond, inputs[[0, -1, -1]])
    # Few values have few bins.
    encoding, inputs = encode(np.array([[0, 0, 0, 1, 1], range(5)]).T, n_bins=3)
    assert np.isinf(encoding.edges[0]).sum() == 2
    assert set(inputs[:, 2]) == {0, encoding.bin_factor}
    np.testing.assert_array_equal(inputs[:, 3:5], 0)


def test_categories_by_hand():
    encoding, inputs = encode(
        [[0.0, 0], [1, 1], [2, 0], [np.nan, 1]], n_categories={0: (3, -1), 1: (2, -1)}
    )
    np.testing.assert_array_equal(
        inputs, [[1, 0, 0, 0, -1], [0, 1, 0, 0, 1], [0, 0, 1, 0, -1], [0, 0, 0, 1, 1]]
    )
    unknown = encoding.encode(np.array([[-1.0, -1], [0, np.nan]]), np.float64)
    np.testing.assert_array_equal(unknown, [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0]])
    encoding, _ = encode([[0.0], [1], [2]], n_categories={0: (3, 2)})
    np.testing.assert_array_equal(encoding.encode(np.array([[-1.0]]), np.float64), [[0, 0, 1]])


def test_a_frame_is_learned_as_it_comes():
    X, y = frame()
    network = ScaledMLPClassifier(depth=2, width=32, random_state=0)
    assert cross_val_score(network, X, y, cv=3).mean() > 0.85
    fitted = network.fit(X, y)
    # One number that may be missing; three colours and none; two kinds.
    assert fitted.coefs_[0].shape[0] == 2 + 4 + 1
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    for rows in (X[:1], X[:7]):
        np.testing.assert_allclose(
            fitted.predict_proba(rows), fitted.predict_proba(X)[: len(rows)], atol=1e-6
        )


def test_pandas_polars_and_arrays_of_objects_are_one():
    X, y = frame()
    expected = ScaledMLPClassifier(**FAST).fit(X, y).predict_proba(X)
    for given in (
        to_polars(X),
        X.astype({"colour": "category", "kind": object}),
        X.astype({"kind": "string"}),
    ):
        got = ScaledMLPClassifier(**FAST).fit(given, y).predict_proba(given)
        np.testing.assert_array_equal(got, expected)
    for named in ([1, 2], [False, True, True]):
        network = ScaledMLPClassifier(categorical_features=named, **FAST)
        array = X.astype(object).to_numpy()
        np.testing.assert_array_equal(network.fit(array, y).predict_proba(array), expected)
    network = ScaledMLPClassifier(categorical_features=["colour", "kind"], **FAST)
    np.testing.assert_array_equal(network.fit(X, y).predict_proba(X), expected)


def test_numbers_can_be_categories():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 8, 600)
    y = np.isin(code, [1, 4, 6]).astype(int)
    X = np.column_stack([code, rng.standard_normal(600)])
    named = ScaledMLPClassifier(depth=0, categorical_features=[0], random_state=0)
    assert named.fit(X, y).score(X, y) == 1
    assert ScaledMLPClassifier(depth=0, random_state=0).fit(X, y).score(X, y) < 0.8


def test_rare_and_unknown_categories_are_one():
    n = 200
    town = np.array(["A", "B"] * (n // 2), dtype=object)
    town[[0, 50, 101]] = ["x", "y", "z"]
    X = pd.DataFrame({"town": pd.Categorical(town)})
    y = (town == "A").astype(int)
    fitted = ScaledMLPClassifier(**FAST).fit(X, y)
    assert fitted.coefs_[0].shape[0] == 3  # A, B and the others
    new = pd.DataFrame({"town": ["x", "never seen", None]})
    p = fitted.predict_proba(new)
    np.testing.assert_array_equal(p[0], p[1])
    assert np.isfinite(p).all()


@pytest.mark.parametrize("convert", [lambda X: X, to_polars], ids=["pandas", "polars"])
def test_few_rows_are_read_as_many_are(convert):
    X, y = frame(300)
    X["town"] = [f"town {i % 40}" if i % 11 else None for i in range(300)]
    X["code"] = np.where(np.arange(300) % 150 == 0, None, X["kind"].astype(object))
    for complete in (False, True):
        fitted = ScaledMLPClassifier(**FAST).fit(
            convert(X.dropna() if complete else X), y[: len(X.dropna())] if complete else y
        )
        new = X.copy()
        new.loc[3, "town"] = "never seen"
        expected, _ = fitted.predictor_.inputs.read(convert(new))
        for start in (0, 1, 3, 22, 150):
            few, _ = fitted.predictor_.inputs.read(convert(new[start : start + 5]))
            np.testing.assert_array_equal(few, expected[start : start + 5])


def test_a_column_of_very_many_categories_keeps_the_most_frequent():
    rng = np.random.default_rng(0)
    towns = rng.integers(0, 2000, 20_000)
    X = pd.DataFrame({"town": [f"town {t}" for t in towns]})
    network = ScaledMLPClassifier(depth=0, max_epochs=1, random_state=0)
    with pytest.warns(UserWarning, match="'town' of X: 2000 different values"):
        fitted = network.fit(X, towns % 2)
    assert fitted.coefs_[0].shape[0] == 256


def test_rows_without_weight_have_no_say_in_the_categories():
    X, y = frame(300)
    weights = np.ones(300)
    weights[:100] = 0
    X.loc[:50, "colour"] = "mauve"
    network = ScaledMLPClassifier(**FAST)
    weighted = clone(network).fit(X, y, sample_weight=weights)
    without = clone(network).fit(X[100:], y[100:])
    np.testing.assert_allclose(weighted.predict_proba(X), without.predict_proba(X), atol=1e-5)


def test_missing_values_are_taken_in_prediction_even_if_never_seen(Estimator, small):
    X, y = small
    fitted = Estimator(**FAST).fit(X, y)
    gap = X.copy()
    gap[3, 1] = np.nan
    for dtype in (np.float32, np.float64):
        predicted = fitted.predict(gap.astype(dtype))
        assert len(predicted) == len(X)
    with pytest.raises(ValueError, match="NaN"):
        Estimator(preprocessing=None, **FAST).fit(X, y).predict(gap)
    filled = Estimator(preprocessing=None, early_stopping=False, **FAST).fit(gap, y)
    assert filled.coefs_[0].shape[0] == X.shape[1] + 1
    with pytest.raises(ValueError, match="NaN"):
        Estimator(preprocessing=None, **FAST).fit(X, y, X_val=gap, y_val=y)


def test_missing_values_of_any_kind_are_one():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (200, 3)).astype(float)
    y = (X[:, 0] > 4).astype(int)
    X[::5, 1] = np.nan
    objects = X.astype(object)
    objects[::5, 1] = None
    nullable = pd.DataFrame({name: pd.array(X[:, i]) for i, name in enumerate("abc")})
    nullable = nullable.convert_dtypes()
    assert (nullable["b"].isna() == np.isnan(X[:, 1])).all()
    expected = ScaledMLPClassifier(**FAST).fit(X, y).predict_proba(X)
    for given in (objects, nullable, pd.DataFrame(objects, columns=list("abc"))):
        got = ScaledMLPClassifier(**FAST).fit(given, y).predict_proba(given)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("learned", [None, np.nan])
@pytest.mark.parametrize("given", [None, np.nan, pd.NA])
def test_missing_categories_of_any_kind_are_one_in_a_row_as_in_many(learned, given):
    X, y = frame(300)
    is_missing = X["colour"].isna()

    def missing_as(value):
        colours = [value if gap else c for c, gap in zip(X["colour"], is_missing, strict=True)]
        return X.assign(colour=pd.Series(colours, dtype=object))

    options = {"categorical_features": ["colour", "kind"], **FAST}
    fitted = ScaledMLPClassifier(**options).fit(missing_as(learned), y)
    expected = fitted.predict_proba(missing_as(learned))
    table = missing_as(given)
    np.testing.assert_array_equal(fitted.predict_proba(table), expected)
    np.testing.assert_allclose(fitted.predict_proba(table[:9]), expected[:9], atol=1e-6)
    assert is_missing[:9].any()


def test_names_are_checked_in_a_frame_with_categories():
    X, y = frame()
    fitted = ScaledMLPClassifier(**FAST).fit(X, y)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.predict(X[["kind", "size", "colour"]])
    with pytest.raises(ValueError, match="feature names"):
        fitted.predict(X.drop(columns="kind"))
    with pytest.raises(ValueError, match="could not convert"):
        fitted.predict(X.assign(size="large"))
    with pytest.raises(ValueError, match="not a valid feature name"):
        ScaledMLPClassifier(categorical_features=["tone"], **FAST).fit(X, y)


def test_resolution_fits_targets_that_jump():
    rng = np.random.default_rng(0)
    X = rng.uniform(0, 1, (1500, 1))
    y = np.floor(X[:, 0] * 12) % 2 + 0.05 * rng.standard_normal(1500)
    options = {"depth": 1, "width": 32, "max_epochs": 20, "random_state": 0}
    coarse = ScaledMLPRegressor(resolution=0, **options).fit(X, y).score(X, y)
    fine = ScaledMLPRegressor(resolution=48, **options).fit(X, y).score(X, y)
    assert fine > 0.7 > coarse


def test_columns_chosen_outside_work_as_before():
    X, y = frame()
    model = make_pipeline(
        make_column_transformer(("passthrough", ["size"])), ScaledMLPClassifier(**FAST)
    )
    assert model.fit(X, y).predict(X).shape == y.shape


def test_pandas_missing_values_are_one_whatever_the_column_is():
    rng = np.random.default_rng(0)
    words = rng.choice(["u", "v", "w"], 80).astype(object)
    words[3] = None
    numbers = rng.standard_normal(80)
    y = (numbers + (words == "u") > 0).astype(int)
    found = []
    for kind in ("string", "category", "object", "str"):
        X = pd.DataFrame({"words": pd.Series(words).astype(kind), "numbers": numbers})
        if kind == "object":
            X.loc[3, "words"] = pd.NA
        network = ScaledMLPClassifier(width=8, max_epochs=2, random_state=0).fit(X, y)
        found.append(network.predict_proba(X))
        np.testing.assert_allclose(network.predict_proba(X[:6]), found[-1][:6], atol=1e-6)
        np.testing.assert_allclose(freeze(network).predict_proba(X), found[-1], atol=1e-6)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    X = X.to_numpy(dtype=object)
    X[[1, 2, 4], 0] = None, np.nan, pd.NA
    with pytest.warns(UserWarning, match="feature names"):
        few, many = network.predict_proba(X[:6]), network.predict_proba(X)
    np.testing.assert_allclose(few, many[:6], atol=1e-6)


@pytest.mark.parametrize("preprocessing", ["auto", None])
@pytest.mark.parametrize("resolution", [0, 4])
def test_tensors_are_encoded_by_the_same_code(preprocessing, resolution):
    torch = pytest.importorskip("torch")
    X, y = frame(200)
    network = ScaledMLPClassifier(**FAST, preprocessing=preprocessing, resolution=resolution)
    inputs = network.fit(X, y).predictor_.inputs
    numbers, _ = inputs.read(X)
    assert np.isnan(numbers).any()
    encoded = inputs.encode(torch.from_numpy(numbers), np.float64)
    assert isinstance(encoded, torch.Tensor)
    np.testing.assert_allclose(encoded.numpy(), inputs.encode(numbers, np.float64), atol=1e-12)


@pytest.mark.parametrize(
    ("column", "named"),
    [
        (pd.period_range("2020", periods=40, freq="D"), r"dates or times .*\.dt\.to_timestamp"),
        ([(1, 2), (3, 4)] * 20, "values of type tuple"),
        (pl.Series([[1, 2], [3]] * 20), "unhashable"),
        (pl.Series([{"a": 1}] * 40), "unhashable"),
        (list(pd.date_range("2020", periods=40).date), "contains dates or times"),
        (pd.date_range("2020", periods=40, tz="UTC"), "contains dates or times"),
    ],
    ids=["periods", "tuples", "lists", "structs", "dates", "times with a zone"],
)
def test_a_column_that_can_be_neither_numbers_nor_categories_is_named(column, named):
    make = pl.DataFrame if isinstance(column, pl.Series) else pd.DataFrame
    X = make({"x": np.arange(40.0), "odd": column})
    with pytest.raises(TypeError, match=f"Column 'odd' of X.*{named}"):
        ScaledMLPClassifier(**FAST).fit(X, [0, 1] * 20)


@pytest.mark.parametrize("other", ["float16", "int8", "uint8"])
def test_the_dtype_of_predictions_does_not_depend_on_the_number_of_rows(other):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.standard_normal(100).astype(np.float32)})
    X["b"] = (3 * X["a"].abs()).astype(other)
    fitted = ScaledMLPRegressor(**FAST).fit(X, X["a"])
    dtypes = {fitted.predict(X[:n]).dtype for n in (1, 2, 64, 65)}
    assert dtypes == {np.dtype(np.float64)}


def test_missing_times_in_columns_of_numbers_are_missing_in_any_number_of_rows():
    X = pd.DataFrame(np.random.default_rng(0).standard_normal((100, 2)), columns=["a", "b"])
    fitted = ScaledMLPRegressor(**FAST).fit(X, X["a"])
    gone = X.assign(a=pd.NaT, b=pd.NaT)
    expected = fitted.predict(X.assign(a=np.nan, b=np.nan))
    for n in (1, 2, 100):
        np.testing.assert_allclose(fitted.predict(gone[:n]), expected[:n])


def test_a_column_of_a_numeric_type_without_values_is_one_of_numbers():
    values = np.arange(40.0)
    for X in (
        pl.DataFrame({"a": values, "b": [None] * 40}, schema={"a": pl.Float64, "b": pl.Int32}),
        pd.DataFrame({"a": values, "b": pd.array([pd.NA] * 40, dtype="Int64")}),
    ):
        fitted = ScaledMLPRegressor(**FAST).fit(X, values)
        assert fitted.predictor_.inputs.coded == []


def test_encode_returns_a_copy():
    X = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    fitted = ScaledMLPRegressor(**FAST, preprocessing=None).fit(X, X[:, 0])
    fitted.encode(X)[:] = 0
    assert X.any()


@pytest.mark.parametrize("n_rows", [1, 200])
@pytest.mark.parametrize("value", [np.inf, -1e39, np.nan])
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pd.DataFrame.to_numpy])
def test_a_refused_number_is_told_with_its_column(make, value, n_rows):
    X = pd.DataFrame({"a": np.arange(200.0), "b": np.arange(200.0) % 7})
    fitted = ScaledMLPRegressor(**FAST, preprocessing=None).fit(make(X), X["b"])
    bad = make(X.assign(b=value)[:n_rows])
    label, told = "1" if isinstance(bad, np.ndarray) else "'b'", re.escape(f"{value:g}")
    with pytest.raises(ValueError, match=f"X contains .*: column {label} of X contains {told}"):
        fitted.predict(bad)


def test_bins_of_a_column_with_a_frequent_value_lie_among_the_others():
    rng = np.random.default_rng(0)
    x = np.where(rng.random(1000) < 0.9, 0, rng.uniform(10, 20, 1000))
    edges = encode(x[:, None], n_bins=10)[0].edges[0]
    assert edges[0] == 0
    assert edges[-1] == x.max()
    # The frequent value is one edge; quantiles of the others are the rest.
    np.testing.assert_allclose(
        edges[1:], np.quantile(x[x > 0], np.linspace(0, 1, 10)), atol=0.3
    )
    # Missing values are no values.
    x[:50] = np.nan
    assert np.isfinite(encode(x[:, None], n_bins=10)[0].edges).all()
    # A constant column has one bin of no width.
    constant, inputs = encode(np.ones((20, 1)), n_bins=10)
    np.testing.assert_array_equal(inputs[:, 1:], 0)
    assert constant.n_bins == 1
