"""Frozen predictors: what the pipeline predicts, by NumPy alone, from checked files."""

import base64
import contextlib
import copy
import json
import os
import pickle
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.compose import (
    ColumnTransformer,
    TransformedTargetRegressor,
    make_column_transformer,
)
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

from skscale import (
    InvalidFileError,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    freeze,
    load_frozen,
)
from skscale.inference import inputs
from skscale.inference.predictor import PREDICTOR_FORMAT
from skscale.storage import container, tree

N = 160
NUMBERS = ["age", "fare", "speed"]
WORDS = ["town", "colour"]


def make_frame(n=N, seed=0):
    """Numbers of several types, one with gaps, and two columns of words."""
    rng = np.random.default_rng(seed)
    fare = rng.lognormal(3, 1, n)
    fare[::7] = np.nan
    return pd.DataFrame(
        {
            "age": rng.integers(0, 90, n),
            "town": rng.choice(["Ulm", "Graz", "Bern", "Chur"], n, p=[0.5, 0.3, 0.17, 0.03]),
            "fare": fare,
            "colour": pd.Categorical(rng.choice(["red", "green"], n)),
            "speed": rng.normal(1e3, 1, n).astype(np.float32),
        }
    )


def make_target(frame, kind):
    rng = np.random.default_rng(1)
    score = (frame["age"] - 45) / 20 + (frame["town"] == "Ulm") + rng.normal(0, 0.3, len(frame))
    score = score.to_numpy()
    return {
        "strings": np.where(score > 0, "yes", "no"),
        "objects": np.digitize(score, [-1, 1]).astype(str).astype(object),
        "ints": np.array([7, 3, 11])[np.digitize(score, [-1, 1])],
        "bools": score > 0,
        "floats": np.digitize(score, [0]).astype(float),
        "labels": np.column_stack([score > 0, score > 1, score > -1]).astype(int),
        "number": 1e3 + score,
        "numbers": np.column_stack([score, -3 * score]),
        "far": 1e7 + score,
        "counts": np.floor(np.exp(score / 2)),
    }[kind]


def numbers_and_words(numbers, words, **options):
    parts = [("numbers", numbers, NUMBERS), ("words", words, WORDS)]
    return ColumnTransformer(parts, **options)


def quick(kind, **parameters):
    is_number = kind in ("number", "numbers", "far", "counts")
    cls = ScaledMLPRegressor if is_number else ScaledMLPClassifier
    if kind == "counts":
        parameters["loss"] = "poisson"
    return cls(width=8, max_epochs=2, random_state=0, **parameters)


def assert_predicts_the_same(predictor, fitted, *inputs):
    for X in inputs:
        expected = fitted.predict(X)
        predicted = predictor.predict(X)
        assert predicted.dtype == expected.dtype
        assert predicted.shape == expected.shape
        if expected.dtype.kind == "f" and not hasattr(fitted, "predict_proba"):
            np.testing.assert_allclose(predicted, expected, rtol=1e-6, atol=1e-6)
            continue
        np.testing.assert_array_equal(predicted, expected)
        probabilities = fitted.predict_proba(X)
        np.testing.assert_allclose(predictor.predict_proba(X), probabilities, atol=1e-6, rtol=0)
        np.testing.assert_array_equal(predictor.classes_, fitted.classes_)


def through_a_file(predictor, tmp_path):
    predictor.save(tmp_path / "predictor")
    return load_frozen(tmp_path / "predictor")


KINDS = [
    "strings", "objects", "ints", "bools", "floats", "labels", "number", "numbers", "far",
    "counts",
]  # fmt: skip


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_estimator_predicts_a_raw_frame_as_itself(kind, n_estimators, tmp_path):
    frame = make_frame()
    fitted = quick(kind, n_estimators=n_estimators, resolution=3).fit(
        frame, make_target(frame, kind)
    )
    predictor = through_a_file(freeze(fitted), tmp_path)
    unseen = frame.iloc[:9].copy()
    unseen["town"] = ["Linz", *unseen["town"][1:-1], None]
    unseen["colour"] = unseen["colour"].astype(object)
    unseen.loc[2, "colour"] = "blue"
    unseen.loc[3, "age"] = 500
    assert_predicts_the_same(predictor, fitted, frame, frame.iloc[:1], unseen)
    np.testing.assert_array_equal(predictor.feature_names_in_, fitted.feature_names_in_)
    assert predictor.n_features_in_ == 5


@pytest.mark.parametrize("kind", ["strings", "ints", "labels", "number", "far", "counts"])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"depth": 0},
        {"preprocessing": None, "activation": "mish", "normalization": "layer"},
        {"depth": 3, "precision": "float64", "activation": "gelu", "resolution": 4},
    ],
    ids=str,
)
def test_a_frozen_estimator_predicts_arrays_and_lists_of_either_precision(
    kind, parameters, tmp_path
):
    frame = make_frame()
    X = frame[["age", "speed"]].to_numpy(np.float64)
    fitted = quick(kind, **parameters).fit(X, make_target(frame, kind))
    predictor = through_a_file(freeze(fitted), tmp_path)
    short, ints = X.astype(np.float32), X.astype(np.int64)
    inputs = (X, short, ints, X[:3].tolist(), X[:1], short[::-2], np.asfortranarray(X))
    assert_predicts_the_same(predictor, fitted, *inputs)
    assert not hasattr(predictor, "feature_names_in_")
    assert hasattr(predictor, "predict_proba") == hasattr(fitted, "predict_proba")


ONE_HOT = [
    {"handle_unknown": "ignore"},
    {"handle_unknown": "ignore", "drop": "if_binary"},
    {"drop": "first"},
    {"handle_unknown": "infrequent_if_exist", "min_frequency": 12, "sparse_output": False},
    {"handle_unknown": "infrequent_if_exist", "max_categories": 2, "dtype": np.float32},
    {"handle_unknown": "ignore", "min_frequency": 12},
    {"drop": "first", "min_frequency": 12},
    {"categories": [["Chur", "Ulm", "Graz", "Bern", "Linz"], ["red", "green"]]},
]


@pytest.mark.parametrize("options", ONE_HOT, ids=str)
@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_one_hot_encoding_is_frozen_with_all_its_options(options):
    frame = make_frame()
    encoder = OneHotEncoder(**options)
    impute = make_pipeline(SimpleImputer(), StandardScaler())
    columns = numbers_and_words(impute, encoder)
    fitted = make_pipeline(columns, quick("strings")).fit(frame, make_target(frame, "strings"))
    predictor = freeze(fitted)
    assert_predicts_the_same(predictor, fitted, frame)
    unseen = frame.iloc[:5].assign(town="Wien")
    if encoder.handle_unknown == "error":
        with pytest.raises(ValueError, match=r"unknown categories \['Wien'\] in column 'town'"):
            predictor.predict(unseen)
    else:
        assert_predicts_the_same(predictor, fitted, unseen)


ORDINAL = [
    {"handle_unknown": "use_encoded_value", "unknown_value": -1},
    {"handle_unknown": "use_encoded_value", "unknown_value": np.nan, "min_frequency": 12},
    {"encoded_missing_value": -5, "dtype": np.float32},
    {"max_categories": 2, "handle_unknown": "use_encoded_value", "unknown_value": 9},
]


@pytest.mark.parametrize("options", ORDINAL, ids=str)
def test_ordinal_encoding_is_frozen_with_all_its_options(options):
    frame = make_frame()
    frame["town"] = frame["town"].astype(object)
    frame.loc[3, "town"] = np.nan
    encoder = OrdinalEncoder(**options)
    columns = numbers_and_words("passthrough", encoder)
    fitted = make_pipeline(columns, quick("ints")).fit(frame, make_target(frame, "ints"))
    predictor = freeze(fitted)
    assert_predicts_the_same(predictor, fitted, frame)
    unseen = frame.iloc[:5].assign(town="Wien")
    if encoder.handle_unknown == "error":
        with pytest.raises(ValueError, match="unknown categories"):
            predictor.predict(unseen)
    else:
        assert_predicts_the_same(predictor, fitted, unseen)


def test_numbers_are_categories_too():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.integers(3, 6, N), rng.normal(size=N)]).astype(float)
    X[5, 0] = np.nan
    y = X[:, 1] > 0
    one_hot = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [0])], remainder="passthrough"
    )
    fitted = make_pipeline(one_hot, quick("bools")).fit(X, y)
    unseen = np.vstack([X, [[99, 0.5]]])
    assert_predicts_the_same(freeze(fitted), fitted, X, unseen, unseen.astype(np.float32))
    fitted = quick("bools", categorical_features=[0]).fit(X, y)
    assert_predicts_the_same(freeze(fitted), fitted, X, unseen)


IMPUTERS = [
    SimpleImputer(),
    SimpleImputer(strategy="median", add_indicator=True),
    SimpleImputer(strategy="most_frequent"),
    SimpleImputer(strategy="constant", fill_value=-3, keep_empty_features=True),
    SimpleImputer(missing_values=-1, strategy="mean"),
]


@pytest.mark.parametrize("imputer", IMPUTERS, ids=str)
@pytest.mark.filterwarnings("ignore:Skipping features without")
def test_imputing_is_frozen(imputer):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 50, (N, 4)).astype(float)
    X[:, 3] = X[::5, 1] = imputer.missing_values
    y = X[:, 0] > 25
    fitted = make_pipeline(imputer, quick("bools", preprocessing=None)).fit(X, y)
    predictor = freeze(fitted)
    assert_predicts_the_same(predictor, fitted, X, X.astype(np.float32), X[:4].tolist())


def test_missing_words_are_imputed():
    frame = make_frame()
    frame["town"] = frame["town"].astype(object)
    frame.loc[::5, "town"] = np.nan
    frame["colour"] = frame["colour"].astype(object)
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent", add_indicator=False),
        OneHotEncoder(sparse_output=False),
    )
    columns = numbers_and_words(SimpleImputer(), words)
    fitted = make_pipeline(columns, quick("strings")).fit(frame, make_target(frame, "strings"))
    assert_predicts_the_same(freeze(fitted), fitted, frame, frame.iloc[:5])
    nothing = SimpleImputer(missing_values=None, strategy="constant", fill_value="none")
    columns = numbers_and_words(SimpleImputer(), make_pipeline(nothing, words[1]))
    frame["town"] = frame["town"].where(frame["town"].notna(), None)
    fitted = make_pipeline(columns, quick("strings")).fit(frame, make_target(frame, "strings"))
    assert_predicts_the_same(freeze(fitted), fitted, frame, frame.iloc[:5])


SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler((-1, 2), clip=True),
    MinMaxScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False, unit_variance=True),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    FunctionTransformer(),
    "passthrough",
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_scaling_is_frozen_bit_by_bit(scaler):
    X = make_frame()[["age", "speed", "fare"]].to_numpy(np.float64)
    y = X[:, 0] > 45
    fitted = make_pipeline(scaler, quick("bools")).fit(X, y)
    predictor = freeze(fitted)
    for some in (X, X.astype(np.float32), X * 3):
        expected = fitted.predict_proba(some)
        np.testing.assert_array_equal(predictor.predict_proba(some), expected)


COLUMNS = {
    "names": (["age", "fare"], ["speed"]),
    "places": ([0, 2], [-1]),
    "slice": (slice(0, 3, 2), [4]),
    "slice of names": (slice("fare", "fare"), ["age"]),
    "mask": ([True, False, True, False, False], [4]),
    "callable": (lambda X: ["age", "speed"], ["fare"]),
    "none": ([], ["speed", "age", "fare"]),
}


@pytest.mark.parametrize("remainder", ["drop", "passthrough", "encode"])
@pytest.mark.parametrize("chosen", COLUMNS.values(), ids=COLUMNS)
def test_columns_are_chosen_however_they_are_named(chosen, remainder):
    frame = make_frame()
    if remainder == "passthrough":
        frame = frame.assign(town=1.0, colour=frame["colour"].cat.codes)
    rest = OrdinalEncoder() if remainder == "encode" else remainder
    columns = ColumnTransformer(
        [
            ("a", make_pipeline(MinMaxScaler(), "passthrough"), chosen[0]),
            ("b", StandardScaler(), chosen[1]),
            ("c", "drop", ["fare"]),
        ],
        remainder=rest,
    )
    fitted = make_pipeline(columns, quick("number")).fit(frame, make_target(frame, "number"))
    predictor = freeze(fitted)
    assert_predicts_the_same(predictor, fitted, frame)
    shuffled = frame[["speed", "colour", "fare", "age", "town"]].assign(more=1)
    np.testing.assert_allclose(predictor.predict(shuffled), fitted.predict(frame), rtol=1e-6)


def in_polars_of(frame):
    """The frame in polars, without pyarrow, which `from_pandas` would need."""
    columns = {name: frame[name].astype(object).tolist() for name in frame}
    gaps = {None, np.nan, pd.NA}
    return pl.DataFrame(
        {
            name: [None if value in gaps or value != value else value for value in values]
            for name, values in columns.items()
        },
        strict=False,
    )


@pytest.mark.parametrize("output", ["default", "pandas", "polars"])
def test_nested_pipelines_and_frames_of_either_kind_are_taken(output):
    frame = make_frame()
    words = make_pipeline(
        SimpleImputer(strategy="most_frequent"),
        OneHotEncoder(sparse_output=False, handle_unknown="ignore"),
    )
    frame["colour"] = frame["colour"].astype(str)
    numbers = make_pipeline(make_pipeline("passthrough", SimpleImputer()), RobustScaler())
    columns = numbers_and_words(numbers, words)
    fitted = make_pipeline(make_pipeline(columns, MaxAbsScaler()), quick("strings"))
    fitted.set_output(transform=output)
    fitted.fit(frame, make_target(frame, "strings"))
    predictor = freeze(fitted)
    assert_predicts_the_same(predictor, fitted, frame)
    in_polars = in_polars_of(frame)
    np.testing.assert_allclose(
        predictor.predict_proba(in_polars), fitted.predict_proba(frame), atol=1e-6
    )


def test_a_frozen_predictor_lists_the_columns_that_may_hold_strings():
    frame = make_frame()
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    places = {name: place for place, name in enumerate(frame.columns)}

    def find(numbers, words, **options):
        columns = numbers_and_words(numbers, words, **options)
        steps = make_pipeline(columns, MaxAbsScaler(), quick("strings"))
        found = freeze(steps.fit(frame, make_target(frame, "strings"))).is_categorical_
        return [name for name, place in places.items() if found[place]]

    assert find(SimpleImputer(), one_hot) == WORDS
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), one_hot)
    frame["colour"] = frame["colour"].astype(str)
    assert find(make_pipeline("passthrough", SimpleImputer()), words) == WORDS
    # A column that is dropped may hold anything; one that is read both ways is a number.
    assert find(make_pipeline(SimpleImputer(), StandardScaler()), "drop") == WORDS
    both = [("a", SimpleImputer(), ["age", "fare"]), ("b", one_hot, ["age", "town"])]
    steps = make_pipeline(ColumnTransformer(both), quick("strings"))
    steps.fit(frame, make_target(frame, "strings"))
    assert freeze(steps).is_categorical_.tolist() == [False, True, False, True, True]
    # Those that the network encodes itself, also behind a step that leaves them in place.
    assert freeze(
        quick("strings").fit(frame, make_target(frame, "strings"))
    ).is_categorical_.tolist() == [name in WORDS for name in frame]
    for rest in ("passthrough", OrdinalEncoder()):
        columns = ColumnTransformer([("words", rest, WORDS)], remainder="passthrough")
        behind = make_pipeline(columns, quick("strings"))
        behind.set_output(transform="pandas").fit(frame, make_target(frame, "strings"))
        assert freeze(behind).is_categorical_.tolist() == [name in WORDS for name in frame]


def test_a_frame_of_polars_with_gaps_is_taken_by_an_estimator_as_by_its_frozen_one():
    frame = make_frame()
    in_polars = in_polars_of(frame).with_columns(
        age=pl.when(pl.col("age") > 80).then(None).otherwise(pl.col("age"))
    )
    fitted = quick("strings").fit(in_polars, make_target(frame, "strings"))
    assert_predicts_the_same(freeze(fitted), fitted, in_polars, in_polars[:3])


_TOWNS = np.array(["Ulm", "Bonn", "Kiel", None] * 20, dtype=object)
_NUMBERS = np.where(np.arange(80) % 4 == 3, np.nan, np.arange(80) % 4)
GAPS = {
    "words": (pd.Series(_TOWNS, dtype="str"), [OneHotEncoder(handle_unknown="ignore")]),
    "words, all known": (pd.Series(_TOWNS, dtype="str"), [OneHotEncoder()]),
    "imputed words": (
        pd.Series(_TOWNS, dtype="str"),
        [
            SimpleImputer(strategy="constant", fill_value="none"),
            OneHotEncoder(handle_unknown="ignore"),
        ],
    ),
    "imputed objects": (
        pd.Series(_TOWNS, dtype=object),
        [
            SimpleImputer(missing_values=None, strategy="constant", fill_value="none"),
            OneHotEncoder(),
        ],
    ),
    "objects": (pd.Series(_TOWNS, dtype=object), [OneHotEncoder(handle_unknown="ignore")]),
    "numbers": (pd.Series(_NUMBERS), [OneHotEncoder()]),
    "codes": (pd.Series(_NUMBERS), [OrdinalEncoder(encoded_missing_value=-1)]),
    "flags": (
        pd.Series(_NUMBERS > 1).astype("boolean").mask(np.isnan(_NUMBERS)),
        [OneHotEncoder()],
    ),
    "the network's own": (pd.Series(_TOWNS, dtype="str"), ["passthrough"]),
}


@pytest.mark.parametrize("name", GAPS)
def test_missing_values_in_a_list_are_recognized(name):
    column, steps = GAPS[name]
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 80), "gaps": column})
    y = np.arange(80) % 4 + frame.x
    columns = make_column_transformer(
        (make_pipeline(*steps), ["gaps"]), remainder="passthrough"
    )
    network = ScaledMLPRegressor(depth=1, width=8, max_epochs=30, random_state=0)
    if name == "the network's own":
        columns = "passthrough"
    pipeline = make_pipeline(columns, network).fit(frame, y)
    predictor, expected = freeze(pipeline), pipeline.predict(frame)
    np.testing.assert_allclose(predictor.predict(frame), expected, rtol=1e-6)
    assert abs(expected[3::4].mean() - expected[0::4].mean()) > 0.3
    missing = predictor.missing_values_
    rows = [
        [none if pd.isna(value) else value for value, none in zip(row, missing, strict=True)]
        for row in frame.astype(object).to_numpy().tolist()
    ]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_allclose(predictor.predict(rows), expected, rtol=1e-6)


def test_words_that_pandas_makes_missing_between_the_steps_are_the_pipelines():
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 80), "town": pd.Series(_TOWNS, dtype=object)})
    y = np.arange(80) % 4 + frame.x
    columns = make_column_transformer(
        (
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="none"),
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            ),
            ["town"],
        ),
        remainder="passthrough",
    ).set_output(transform="pandas")
    network = ScaledMLPRegressor(depth=1, width=8, max_epochs=5, random_state=0)
    pipeline = make_pipeline(columns, network).fit(frame, y)
    np.testing.assert_allclose(
        freeze(pipeline).predict(frame), pipeline.predict(frame), rtol=1e-6
    )


def test_large_whole_numbers_are_categories_of_their_own():
    ids = np.array([2**53, 2**53 + 1, 2**53 + 2, 7] * 20)
    frame = pd.DataFrame({"x": np.linspace(-1, 1, 80), "id": pd.Categorical(ids)})
    y = np.arange(80) % 4 + frame.x
    network = ScaledMLPRegressor(depth=1, width=8, max_epochs=30, random_state=0).fit(frame, y)
    whole = frame.astype({"id": np.int64})
    expected = network.predict(frame)
    assert np.ptp(expected[:4]) > 0.3
    np.testing.assert_allclose(network.predict(whole[:6]), expected[:6], rtol=1e-5)
    np.testing.assert_allclose(network.predict(whole), expected, rtol=1e-5)
    predictor = freeze(network)
    np.testing.assert_allclose(predictor.predict(whole), expected, rtol=1e-5)
    rows = [[x, int(n)] for x, n in zip(frame.x.tolist(), ids, strict=True)]
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        np.testing.assert_allclose(predictor.predict(rows), expected, rtol=1e-5)


def test_invalid_input_of_an_imputer_is_refused_as_in_scikit_learn():
    frame = pd.DataFrame({"town": pd.Series(["Ulm", "?", "Bonn", "Kiel"] * 10, dtype=object)})
    y = np.arange(40) % 4
    pipeline = make_pipeline(
        SimpleImputer(missing_values="?", strategy="most_frequent"),
        OneHotEncoder(handle_unknown="ignore"),
        quick("number"),
    ).fit(frame, y)
    frame.loc[1, "town"] = np.nan
    for predictor in (pipeline, freeze(pipeline)):
        with pytest.raises(ValueError, match="contains NaN"):
            predictor.predict(frame)


def test_pandas_types_with_missing_values_are_taken():
    frame = make_frame().assign(age=lambda f: f["age"].astype("Int64"))
    frame.loc[4, "age"] = pd.NA
    frame["town"] = frame["town"].astype("string")
    frame["colour"] = frame["colour"].cat.remove_categories("red")
    fitted = quick("strings").fit(frame, make_target(make_frame(), "strings"))
    assert_predicts_the_same(freeze(fitted), fitted, frame, frame.iloc[:6])


def test_a_search_is_frozen_as_its_best_estimator(digits):
    X, y = digits
    search = GridSearchCV(quick("ints"), {"depth": [1, 2]}, cv=2).fit(X[:200], y[:200])
    assert_predicts_the_same(freeze(search), search, X)


def test_large_inputs_are_computed_in_pieces(monkeypatch):
    frame = make_frame()
    words = OneHotEncoder(handle_unknown="ignore")
    columns = numbers_and_words(make_pipeline(SimpleImputer(), StandardScaler()), words)
    fitted = make_pipeline(columns, quick("strings")).fit(frame, make_target(frame, "strings"))
    predictor = freeze(fitted)
    monkeypatch.setattr(inputs, "_BLOCK_ROWS", 50)
    assert_predicts_the_same(predictor, fitted, frame)


def test_a_frozen_predictor_holds_no_row_and_can_be_pickled(digits, tmp_path):
    X, y = digits
    fitted = quick("ints").fit(X, y)
    predictor = freeze(fitted)
    again = pickle.loads(pickle.dumps(predictor))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    predictor.save(tmp_path / "digits")
    # Center, scale, fill and range of each column.
    n_bytes = 4 * fitted.complexity_.n_parameters + 5 * 8 * X.shape[1]
    assert (tmp_path / "digits").stat().st_size <= n_bytes + 2_500


REFUSED = {
    "PCA": make_pipeline(PCA(), quick("number")),
    "func=": make_pipeline(FunctionTransformer(np.log1p), quick("number")),
    "transformer_weights": make_pipeline(
        ColumnTransformer([("a", StandardScaler(), [0])], transformer_weights={"a": 2}),
        quick("number"),
    ),
    "TransformedTargetRegressor": TransformedTargetRegressor(quick("number"), func=np.log1p,
                                                             inverse_func=np.expm1),
    "missing_values=pd.NA": make_pipeline(
        SimpleImputer(missing_values=pd.NA, strategy="constant", fill_value=0), quick("number")
    ),
    "StandardScaler": StandardScaler(),
    "ScaledCNNRegressor": ScaledCNNRegressor(image_shape=(1, 2), width=4, max_epochs=1),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_steps_are_refused_by_name(name):
    X = np.abs(np.random.default_rng(0).normal(size=(60, 2)))
    with pytest.raises(TypeError, match=name):
        freeze(REFUSED[name].fit(X, X[:, 0]))


@pytest.mark.parametrize("unit", ["ns", "us"])
@pytest.mark.parametrize("Encoder", [OneHotEncoder, OrdinalEncoder])
def test_times_as_categories_are_refused_by_name(unit, Encoder):
    days = np.arange(40) % 4 + np.datetime64("2020-01-01", unit)
    frame = pd.DataFrame({"day": days.astype(f"M8[{unit}]")})
    pipeline = make_pipeline(Encoder(), quick("number")).fit(frame, np.arange(40) % 4)
    with pytest.raises(TypeError, match="dates or times as categories cannot be frozen"):
        freeze(pipeline)


def test_a_subclass_may_do_otherwise_and_is_refused():
    class Shifted(StandardScaler):
        pass

    X = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(TypeError, match=r"Shifted cannot be frozen\. Expected only"):
        freeze(make_pipeline(Shifted(), quick("number")).fit(X, X[:, 0]))


def test_only_fitted_estimators_are_frozen():
    with pytest.raises(NotFittedError):
        freeze(quick("number"))
    with pytest.raises(NotFittedError):
        freeze(make_pipeline(StandardScaler(), quick("number")))


BAD = [
    (None, ValueError, "X is None"),
    (np.ones(4), ValueError, r"(?s)Expected 2D array, got 1D array.*Reshape your data"),
    (np.ones((2, 3)), ValueError, "X has 3 features, but ScaledMLPClassifier is expecting 2"),
    (np.ones((0, 2)), ValueError, r"0 sample\(s\)"),
    ([[1.0, np.nan]], ValueError, "Input X contains NaN"),
    ([[1.0, np.inf]], ValueError, "infinity"),
    ([[1.0, 1e300]], ValueError, "too large"),
    ([["a", 1.0]], ValueError, "could not convert string to float"),
    (np.ones((2, 2), complex), ValueError, "complex"),
    (iter([[1, 2]]), TypeError, "read only once"),
    (np.ma.masked_array([[1.0, 2.0]], [[True, False]]), ValueError, "masked"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "two columns named 'a'"),
]


@pytest.mark.parametrize(("X", "kind", "message"), BAD, ids=[m for _, _, m in BAD])
def test_bad_input_is_refused(X, kind, message):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 2))
    fitted = quick("bools", preprocessing=None).fit(rows, rows[:, 0] > 0)
    with pytest.raises(kind, match=message):
        freeze(fitted).predict(X)


def test_sparse_rows_are_taken_by_an_estimator_and_refused_by_a_pipeline(tmp_path):
    from scipy.sparse import csr_array

    rows = np.random.default_rng(0).normal(size=(60, 2))
    fitted = quick("bools", preprocessing=None).fit(csr_array(rows), rows[:, 0] > 0)
    predictor = through_a_file(freeze(fitted), tmp_path)
    assert_predicts_the_same(predictor, fitted, rows, csr_array(rows))
    pipeline = make_pipeline(MaxAbsScaler(), fitted).fit(rows, rows[:, 0] > 0)
    with pytest.raises(TypeError, match="requires dense data"):
        freeze(pipeline).predict(csr_array(rows))


def test_columns_that_are_not_there_are_named():
    frame = make_frame()
    y = make_target(frame, "strings")
    renamed = frame.rename(columns={"age": "years"})
    words = OneHotEncoder(handle_unknown="ignore")
    pipeline = make_pipeline(numbers_and_words(SimpleImputer(), words), quick("strings"))
    for fitted in (quick("strings"), pipeline):
        fitted.fit(frame, y)
        predictor = freeze(fitted)
        unseen = r"(?s)unseen at fit time:\n- years\n.*yet now missing:\n- age\n"
        with pytest.raises(ValueError, match=unseen):
            predictor.predict(renamed)
        for X in (frame.to_numpy(), frame.to_numpy().tolist()):
            with pytest.warns(UserWarning, match="does not have valid feature names"):
                np.testing.assert_array_equal(predictor.predict(X), fitted.predict(frame))
    numbers = frame[["age", "speed"]]
    for fitted in (quick("strings"), make_pipeline(StandardScaler(), quick("strings"))):
        predictor = freeze(fitted.fit(numbers, y))
        with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
            predictor.predict(numbers[["speed", "age"]])


# Files


@pytest.fixture(scope="module")
def a_file(tmp_path_factory):
    frame = make_frame()
    words = OneHotEncoder(handle_unknown="ignore")
    columns = numbers_and_words(make_pipeline(SimpleImputer(), StandardScaler()), words)
    fitted = make_pipeline(columns, quick("strings")).fit(frame, make_target(frame, "strings"))
    path = tmp_path_factory.mktemp("frozen") / "predictor"
    freeze(fitted).save(path)
    return path, frame, fitted.predict_proba(frame)


def _read_mutant(tmp_path, data):
    path = tmp_path / "mutant"
    path.write_bytes(data)
    return load_frozen(path)


def test_no_truncated_and_no_bit_flipped_file_is_read(a_file, tmp_path):
    data = a_file[0].read_bytes()
    rng = np.random.default_rng(0)
    mutants = [data[:n] for n in rng.integers(0, len(data), 150)]
    # Half of them in the first line, of which every bit counts.
    places = [*rng.integers(0, 8 * len(data), 150), *rng.integers(0, 8 * 140, 150)]
    for place in places:
        mutant = bytearray(data)
        mutant[place // 8] ^= 1 << (place % 8)
        mutants.append(bytes(mutant))
    mutants += [data + b"\0", data + data, b"", b"\0" * len(data), data[::-1]]
    for _ in range(50):
        a, b = sorted(rng.integers(0, len(data), 2))
        mutants.append(data[:a] + data[b:] + data[a:b])  # swapped
    for mutant in mutants:
        if mutant != data:
            with pytest.raises(InvalidFileError):
                _read_mutant(tmp_path, mutant)
    assert len(mutants) >= 500


def _rehash(tmp_path, content, kind="frozen", version=PREDICTOR_FORMAT):
    path = tmp_path / "hostile"
    container.write(path, kind, version, content)
    return path


def test_no_hostile_content_with_a_right_hash_does_harm(a_file, tmp_path):
    """Any single field changed: refused when read, or a predictor that still only computes."""
    content, _ = container.read(a_file[0], "frozen", PREDICTOR_FORMAT)
    length = int.from_bytes(content[:8], "little")
    header, arrays = json.loads(bytes(content[8 : 8 + length])), bytes(content[8 + length :])
    rng = np.random.default_rng(0)
    places = list(_places(header))
    hostile = [
        None, True, -1, 0, 1 << 62, 1.5, "", "os.system", [], {}, [[[]]], {"part": "Chain"},
        {"part": "os", "fields": {}}, {"array": 0}, {"number": "nan"}, {"tuple": [1]},
        {"values": [], "dtype": "O"}, {"values": ["a"], "dtype": "U999999999"},
        ["<f4", [1 << 40]], {"part": "Weights", "fields": {}}, {"number": "inf"}, 10**400,
    ]  # fmt: skip
    n_refused = 0
    for _ in range(500):
        path, value = places[rng.integers(len(places))], hostile[rng.integers(len(hostile))]
        mutant = json.loads(json.dumps(header))
        at = mutant
        for key in path[:-1]:
            at = at[key]
        at[path[-1]] = value
        text = json.dumps(mutant).encode()
        file = _rehash(tmp_path, len(text).to_bytes(8, "little") + text + arrays)
        try:
            predictor = load_frozen(file)
        except InvalidFileError:
            n_refused += 1
            continue
        with contextlib.suppress(ValueError, TypeError), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            assert len(predictor.predict(a_file[1])) == N
    assert 400 < n_refused < 500


def _places(value, path=()):
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield (*path, key)
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key], (*path, key))


_N = 20_000
# Of an ensemble or a pipeline where a part stands, what it holds instead, and what is said.
HOSTILE_PARTS = [
    ("ensemble", "inputs", {"n_features": 1 << 40}, "one name per column"),
    ("ensemble", "inputs", {"names": [["age"]] * 5}, "column names as strings"),
    ("ensemble", "inputs", {"names": None, "owner": 3}, "owner as a string"),
    ("ensemble", "inputs", {"places": np.array([1, 9])}, "column indices from 0 to below 5"),
    ("ensemble", "inputs", {"places": np.array([0, 3])}, "equal codes in encoding and"),
    ("ensemble", "inputs", {"encoding": None}, "an encoding of categories"),
    ("ensemble", "inputs.lookups.0", {"unknown": 10**400}, "a float code or None"),
    ("ensemble", "inputs.lookups.0", {"values": [[]] * 3}, "plain values"),
    ("ensemble", "inputs.lookups.0", {"missing": None}, "codes of unknown categories"),
    ("ensemble", "inputs.encoding", {"n_codes": (1 << 40, 2)}, "equal codes in"),
    ("ensemble", "inputs.encoding", {"other": (10**400, -1)}, "codes of other categories"),
    ("ensemble", "inputs.encoding", {"center": np.full(3, np.nan)}, "absolute values up to"),
    ("ensemble", "inputs.encoding", {"scale": np.full(3, 1e300)}, "absolute values up to"),
    ("ensemble", "inputs.encoding", {"numbers": np.array([0, 2, 2])}, "ascending order"),
    ("ensemble", "inputs.encoding", {"edges": np.zeros((3, 4))}, "ascending bin edges"),
    ("ensemble", "inputs.encoding", {"missing": np.array([3])}, "from 0 to below 3"),
    ("ensemble", "network", {"weights": None}, "the weights of a network"),
    ("ensemble", "network.weights", {"n_members": 2}, "n_members as the first axis"),
    ("ensemble", "network.weights", {"n_members": 3.0}, "n_members to be an int"),
    ("ensemble", "network.weights", {"intercepts": []}, "intercepts of every layer"),
    ("ensemble", "network.weights", {"buffers": None}, "weights as lists of arrays"),
    ("ensemble", "network.architecture", {"widths": (1 << 40,)}, "one width per hidden layer"),
    ("ensemble", "network.architecture", {"activation": "sin"}, "a known activation"),
    ("ensemble", "network.architecture", {"fan_in": 0}, "fan_in to be"),
    ("ensemble", "network.architecture", {"n_features": 13.0}, "integers as n_features"),
    ("ensemble", "head", {"classes": np.array(["a", "b"], "U5000000")}, "at most 65536 bytes"),
    ("ensemble", "head", {"classes": np.array(["b", "a"])}, "classes in ascending order"),
    ("ensemble", "head", {"is_multilabel": True}, "a network of 2 outputs"),
    ("number", "head", {"mean": np.array([np.inf])}, "absolute values up to"),
    ("number", "head", {"scale": np.array([1e300])}, "absolute values up to"),
    ("number", "head", {"scale": np.array([-1.0])}, "non-negative scales"),
    ("number", "head", {"mean": np.zeros((_N, 1)), "scale": np.zeros((1, _N))}, "one mean and"),
    ("number", "network.weights",
     {"coefs": [np.full((2, 1), np.inf)], "intercepts": [np.zeros(1)]}, "finite weights"),
    ("pipeline", "inputs", {"inner": None}, "a TableInputs"),
    ("pipeline", "inputs", {"chain": None}, "a Chain"),
    ("pipeline", "inputs", {"n_features": 6, "names": None}, "a table of 5 columns"),
    ("pipeline", "inputs.inner", {"n_features": 8}, "an encoding for each column"),
    ("pipeline", "inputs.chain.steps.0.chains.1.steps.0.lookups.0", {"missing": 1e9},
     "no separate code of missing"),
    ("pipeline", "inputs.chain.steps.0.chains.1.steps.0", {"widths": (1 << 40, 2)},
     "one output per known value"),
    ("pipeline", "inputs.chain.steps.0.chains.0.steps.0.steps.0",
     {"fill": np.array(["a"] * 3, "U5000000")}, "values of the type of the input"),
    ("pipeline", "inputs.chain.steps.0.chains.0.steps.0.steps.0", {"missing": 10**400},
     "a 64-bit integer"),
    ("pipeline", "inputs.chain.steps.0.chains.0.steps.0.steps.1", {"bounds": (0.0, 10**400)},
     "bounds as floats"),
]  # fmt: skip


@pytest.fixture(scope="module")
def predictors(a_file):
    frame = a_file[1]
    words = quick("strings", n_estimators=3, resolution=3)
    numbers = frame[["age", "speed"]].to_numpy()
    return {
        "ensemble": freeze(words.fit(frame, make_target(frame, "strings"))),
        "number": freeze(quick("number").fit(numbers, make_target(frame, "number"))),
        "pipeline": load_frozen(a_file[0]),
    }


def _pack(predictor):
    return tree.pack({name: getattr(predictor, name) for name in ("inputs", "network", "head")})


@pytest.mark.parametrize(
    ("kind", "path", "hostile", "message"),
    HOSTILE_PARTS,
    ids=[f"{kind}-{path}-{'-'.join(hostile)}" for kind, path, hostile, _ in HOSTILE_PARTS],
)
def test_parts_that_do_not_fit_are_refused(kind, path, hostile, message, predictors, tmp_path):
    predictor = copy.deepcopy(predictors[kind])
    load_frozen(_rehash(tmp_path, _pack(predictor)))
    part = predictor
    for name in path.split("."):
        part = part[int(name)] if name.isdigit() else getattr(part, name)
    for name, value in hostile.items():
        assert hasattr(part, name)
        object.__setattr__(part, name, value)
    with pytest.raises(InvalidFileError, match=message):
        load_frozen(_rehash(tmp_path, _pack(predictor)))


def test_columns_that_no_step_reads_take_little_room(predictors, tmp_path):
    predictor = copy.deepcopy(predictors["pipeline"])
    object.__setattr__(predictor.inputs, "names", None)
    object.__setattr__(predictor.inputs, "n_features", 1 << 40)
    object.__setattr__(predictor.inputs.chain.steps[0], "n_columns", 1 << 40)
    with pytest.raises(InvalidFileError, match="at most 4194304 columns"):
        load_frozen(_rehash(tmp_path, _pack(predictor)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2).to_bytes(8, "little") + b"{}",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        (20_000).to_bytes(8, "little") + b"9" * 20_000,
        pickle.dumps(os.system),
        b"\0" * (1 << 20),
    ],
    ids=["empty", "endless header", "no tree", "deep", "large int", "a pickle", "zeros"],
)
def test_content_of_no_predictor_is_refused(content, tmp_path):
    with pytest.raises(InvalidFileError, match="no valid predictor, although its checksum"):
        load_frozen(_rehash(tmp_path, content))


def test_an_array_claims_no_more_than_the_file_holds(tmp_path):
    for dtype, shape in (
        ("<f4", [1 << 40]),
        ("<f8", [0, 1 << 60]),
        ("|O8", [1]),
        ("|V8", [1]),
        ("<f4", [-1]),
        ("<f4", [True]),
        ("<(,", [1]),
        ("(2)", [1]),
        ("|S8", [1]),
    ):
        text = json.dumps({"tree": None, "arrays": [[dtype, shape]]}).encode()
        with pytest.raises(ValueError, match="expected"):
            tree.unpack(memoryview(len(text).to_bytes(8, "little") + text + b"\0" * 8))


def test_types_of_strings_take_room_in_proportion_to_the_file(tmp_path):
    def content(n, width):
        values = {"values": ["a"], "dtype": f"U{width}"}
        text = json.dumps({"tree": {"dict": {"x": [values] * n}}, "arrays": []}).encode()
        return memoryview(len(text).to_bytes(8, "little") + text)

    assert tree.unpack(content(3, 5_000_000))["x"][2].itemsize == 20_000_000
    for n, width in ((1, 17_000_000), (4, 5_000_000), (1, 1 << 62)):
        with pytest.raises(ValueError, match="strings within the memory limit"):
            tree.unpack(content(n, width))
        with pytest.raises(InvalidFileError, match="strings within the memory limit"):
            load_frozen(_rehash(tmp_path, content(n, width)))
    wide = np.array(["a" * 5_000_000] + ["b"] * 30)
    with pytest.raises(ValueError, match="strings within the memory limit"):
        tree.pack({"x": wide})
    many = np.array([f"a town of a long name, which is number {k:06}" for k in range(50_000)])
    for n in (1, 10):  # of real words as many as there are, here 90 MB
        packed = memoryview(tree.pack({"x": [many] * n}))
        np.testing.assert_array_equal(tree.unpack(packed)["x"][-1], many)


def test_another_format_is_refused_by_name_and_another_kind_too(a_file, tmp_path):
    content, version = container.read(a_file[0], "frozen", 3)
    assert version == PREDICTOR_FORMAT == 3
    with pytest.raises(
        InvalidFileError, match=r"format 4, and skscale .* up to 3.*install that"
    ):
        load_frozen(_rehash(tmp_path, content, version=4))
    with pytest.raises(
        InvalidFileError, match=r"expected 'frozen', got 'estimator'.*skscale\.load\."
    ):
        load_frozen(_rehash(tmp_path, content, kind="estimator"))


# Of format 2, compressed: a missing x is 3, and the logit of "yes" is
# 2 (x - 1) / 2 + 0.5 code + 1, where a word has the code 0 for "a", 1 for "b", else -1.
FORMAT_2 = (
    "eNqtVM1u2zAM7i7DsKcwfO4K202aeFjQdd2lQIcW2IAdgiCQJboWIsuGLCVLiwB7p73YHmGUbDex0kMP8yERyU/i"
    "30c2q4YSAUGuqkeQQV6pkuhZEmwU16Bm0Vl8Fp0xWEdBttXQzOJJmgZNQZLxxWw6uYjImJ3HaQ55HAEdQZpOpxf0"
    "fJRMkvFoTEkO0SSPx4zRhBGI0iynME5HdJSN4vj9n7cn7nsKtQIIPwZPIeNUuwOXtdGNO9ZEWV14z2sQXMJNazoN"
    "wpyDYC2o2khQFvXd5sO+3d5fC9I0HCHKQuUyB6KNAgtPrIKU7jwPN5ViFvIrXOAvLQiXA7/XTjN012io3e097Isi"
    "khbgB0YrYUrZYYlSZIvHaHca7KV49+zYe/OVrm9KrAh4uJJj+vLBnaUps7Y8ksgQnYcKiMOFuahIX00hHLqPK7HA"
    "FdR6oD23Wi6xU0QDQ4U0QuxcQn08V8ieogTNqd+lGhTRvJKtqE0twPWgMZlWBHuPeMbXnEG4sH7awD30PpbRoI7j"
    "nbtDSeOYo5UBFLPKSOfexumYsG9JvMMrg9BfWfE7xbgkwgOKqloZH3rrlB5yTYTp6EesKWu5VzFoBsW+sAkZuZLI"
    "bxQ/4DiiYt/atvb2LtPbGlxDp6HLauHlmnS5Yu/aUdmH+INk4j+PVVfsWhDqpTSxMRxUysYJElM/zMgFKkHjbK4G"
    "oX4F2fhMJ4oWuK6ojeMYfHVoHV48in7DmS48trU8XFZGdxspRhmpyteOydaPAmFcNez6FPyxN3RFwPc5M8QOV05E"
    "Y0nptm6zfN5yvT4ncsnlwVCFG+APhbcJf3Y6f9NA7u2ZqWMBl7jLKc6xZ02dNTN53o7YvKVMCf3MHfSiwH0xiOGW"
    "ZCCOQrDkgCOKy8ritigNmHrnNhFvlqURmgv7YF+KzquL1L0xDz/xKb4yjxf4xpGUv9r2kpQM7kW9beRsp0E8UKC0"
    "2L05eel793ko/73sDi/prQ7/f1/+A4vzQvg="
)


def test_a_file_of_format_2_predicts_the_recorded_values(tmp_path):
    (tmp_path / "old").write_bytes(zlib.decompress(base64.b64decode(FORMAT_2)))
    predictor = load_frozen(tmp_path / "old")
    X = pd.DataFrame({"x": [1.0, -3.0, None], "word": ["a", "b", "c"]})
    logits = np.array([1.0, -2.5, 2.5])
    expected = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(predictor.predict_proba(X)[:, 1], expected, rtol=1e-6)
    assert predictor.predict(X).tolist() == ["yes", "no", "yes"]


# What format 1 was, before anything was released.
FORMAT_1 = (
    "eNqNVM1u2zAM7g4Dhr3CLobOXWHZaWoPC7qf04BifYAgCGibaoTIkqGfdGlhYI/cR5ikOMjs9FBfIpIfxY8f"
    "qZitqUFgwrR6QpkwpVuwC5o8am5RL9IrepVeNbhLk2pv0SxoXtLEbCC7ni9KVhZ5yVhOgZZZVc/zIoUUiobO"
    "ZjclZCzPs3mFbEY9Zt7klN1UaXldVJDSEuvs46f3F/F7JlYjki/JM2l4beOh3gCX8dSBDi7yM3ouE8I4isbE"
    "mLHYhdPyBPuhQdYbNBNkrYRr5YAFrWHvj2l/mZws2q98Tiw8ufONpX+1nbM4wbXcGC4f4lm6tkIdoBIk8cWJ"
    "Rog4woQCO5AWIqKPvLIA3GJnR948eLn0goHFxjukE6KPDR35fPdD3LRoeT3hpDrUYLmSB9O6TgT5l8S4ymrw"
    "I/D4hu94g2QV6hyIT9AnLrORjtd9zKnB2JBhtUNvVsrJWD7wDFeuTyOhvU8ZUX+j4ve64RLEBCiU2rop9C46"
    "J8gdCIcRSCCEKhJXQDVoRmLPQ0NObqV6DEv52b8K7ziN9qB9yG3svsM40ILErlaTXrOhVyLRPiq9He3478E3"
    "ZjlKj8pafFCa439yovSsT2RiF8gm+34T2XDpn3bt92kSLWLUT5/v4nIEQhqFC2xk+GMQ/OkYGGpoNLxxEPaV"
    "gTBhzhu/0aOe7qBCcfYcBRiDZ0OQKuD23hppeR/fCjfr1gnLRbjwWLHvD2KuGYJ1Go8aDeZaQntexmvchEJ/"
    "zsrEy6IgEbkkX3nhkUu68sgzi7059pqVHa1ZtC4TOnJ4a9W/u3jt+/BtbL/cDofX/MHnf//e/gMDSb2O"
)


def test_a_file_of_format_1_is_refused_by_name(tmp_path):
    (tmp_path / "old").write_bytes(zlib.decompress(base64.b64decode(FORMAT_1)))
    with pytest.raises(
        InvalidFileError, match=r"has format 1, and skscale .* formats from 2\."
    ):
        load_frozen(tmp_path / "old")


def test_an_irregular_file_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(InvalidFileError, match="not a regular file"):
            load_frozen(path)
    with pytest.raises(FileNotFoundError):
        load_frozen(tmp_path / "nothing")


def test_a_write_that_fails_leaves_the_file_as_it_was(a_file, tmp_path, monkeypatch):
    path = tmp_path / "predictor"
    path.write_bytes(a_file[0].read_bytes())
    path.chmod(0o600)
    predictor = load_frozen(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            predictor.save(path)
    assert path.read_bytes() == a_file[0].read_bytes()
    assert os.listdir(tmp_path) == ["predictor"]
    predictor.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["predictor"]


_ALONE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {refused}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
import skscale
predictor = skscale.load_frozen({path!r})
print(predictor.predict([[30, "Ulm", 7.5, "red", 1000.0]])[0])
print([name for name in {refused} if name in sys.modules])
"""


def test_a_frozen_predictor_is_served_by_numpy_alone(a_file):
    refused = ("torch", "skorch", "sklearn", "scipy", "joblib", "pandas", "skops")
    code = _ALONE.format(path=str(a_file[0]), refused=refused)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    label, loaded = done.stdout.split()
    assert label in ("yes", "no")
    assert loaded == "[]"
