"""ONNX: what a graph computes in ONNX Runtime is what the estimator or pipeline predicts."""

import pickle
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
import torch
from pandas.api.types import is_numeric_dtype
from skl2onnx.common.data_types import (
    DoubleTensorType,
    FloatTensorType,
    StringTensorType,
    UInt8TensorType,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)

import skscale.onnx  # noqa: F401  (registers the converters)
from skscale import (
    Distillation,
    Pruning,
    ScaledCNNClassifier,
    ScaledCNNRegressor,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    ScaledNetworkRegressor,
    prune,
)

OLDEST, NEWEST = 13, skl2onnx.get_latest_tested_opset_version()
N = 300
BATCHES = (1, 2, 257)
NUMBERS = ("number", "numbers", "far", "counts")
DTYPES = [np.float32, np.float64]


def make_table(seed=0):
    """Columns of several scales, one nearly constant, one skewed."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 6)) * [1, 30, 1e-3, 1, 5, 1] + [0, 100, 0, 1e3, 0, 0]
    X[:, 4] = np.exp(X[:, 4] / 5)
    X[:, 5] = rng.random(N) < 0.05
    return X.astype(np.float32)


def make_target(X, kind):
    score = X[:, 0] + (X[:, 1] - 100) / 30 * X[:, 4] / 5
    return {
        "binary": np.where(score > 0, "yes", "no"),
        "classes": np.array([7, 3, 11])[np.digitize(score, [-0.7, 0.7])],
        "labels": np.column_stack([score > 0, score > 1, X[:, 1] > 100]).astype(int),
        "number": 20 + score,
        "numbers": np.column_stack([score, -3 * score]),
        "far": 1e7 + score,
        "counts": np.floor(np.exp(np.clip(score, -2, 3))),
    }[kind]


def quick(kind, **parameters):
    cls = ScaledMLPRegressor if kind in NUMBERS else ScaledMLPClassifier
    if kind == "counts":
        parameters.setdefault("loss", "poisson")
    return cls(**{"width": 8, "depth": 2, "max_epochs": 3, "random_state": 0, **parameters})


def open_session(model, inputs, **options):
    """Convert, let the types of the graph be checked, and return a session."""
    if isinstance(inputs, list):
        options["initial_types"] = inputs
    elif isinstance(inputs, pd.DataFrame):
        # skl2onnx knows pandas' own strings only where pyarrow is not installed.
        words = inputs.columns[[not is_numeric_dtype(dtype) for dtype in inputs.dtypes]]
        options["X"] = inputs[:1].astype(dict.fromkeys(words, object))
    else:
        options["X"] = inputs[:1]
    graph = skl2onnx.to_onnx(model, **options)
    onnx.checker.check_model(graph, full_check=True)
    assert {opset.domain for opset in graph.opset_import} <= {"", "ai.onnx.ml"}
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def feed_of(X):
    """Return what a session takes: an array by the name X, or a frame's columns by theirs."""
    if not isinstance(X, pd.DataFrame):
        return {"X": X}
    return {name: X[[name]].to_numpy() for name in X}


def assert_agrees(model, X, *others, **options):
    """Hold predictions of batches through one session against those of the estimator."""
    is_classifier = hasattr(model, "predict_proba")
    if is_classifier:
        options.setdefault("options", {"zipmap": False})
    session = open_session(model, X, **options)
    for table in (*(X[:n] for n in BATCHES), *others):
        outputs = session.run(None, feed_of(table))
        expected = model.predict(table)
        if is_classifier:
            assert [o.name for o in session.get_outputs()] == ["label", "probabilities"]
            np.testing.assert_array_equal(outputs[0].astype(expected.dtype), expected)
            probabilities = model.predict_proba(table)
            assert outputs[1].dtype == probabilities.dtype
            np.testing.assert_allclose(outputs[1], probabilities, rtol=0, atol=1e-5)
        else:
            assert [o.name for o in session.get_outputs()] == ["variable"]
            assert outputs[0].dtype == expected.dtype
            columns = expected.reshape(len(table), -1)
            scale = np.std(model.predict(X))
            assert scale > 0
            # float64 is computed in float64.
            is_double = getattr(table, "dtype", None) == np.float64
            atol = (1e-9 if is_double else 1e-5) * scale
            np.testing.assert_allclose(outputs[0], columns, rtol=0, atol=atol)
    return session


NETWORKS = {
    "as it is": {},
    "gelu": {"activation": "gelu"},
    "mish": {"activation": "mish"},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "logistic": {"activation": "logistic"},
    "linear": {"depth": 0},
    "deep": {"depth": 3, "normalization": "layer"},
    "not residual": {"depth": 3, "normalization": "layer", "residual": False},
    "narrow": {"depth": None, "width": (6, 1, 6), "normalization": "layer"},
    "members": {"n_estimators": 3},
    "members with all": {
        "n_estimators": 2, "normalization": "layer", "resolution": 4, "activation": "gelu"
    },
    "bins": {"resolution": 5},
    "bins alone": {"resolution": 3, "preprocessing": None},
    "nothing scaled": {"preprocessing": None},
    "dropout": {"dropout": 0.3},
    "float64": {"precision": "float64"},
    "pruned": {"pruning": Pruning(0.5, finetune_epochs=1)},
    "weights pruned": {"pruning": Pruning(0.5, granularity="weights", finetune_epochs=1)},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["binary", "classes", "labels", "number", "numbers", "counts"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_graph_predicts_as_its_network(network, kind):
    X = make_table()
    if network in ("nothing scaled", "bins alone"):
        X = X / np.array([1, 100, 1e-3, 1e3, 5, 1], np.float32)
    model = quick(kind, **NETWORKS[network]).fit(X, make_target(X, kind))
    for dtype in DTYPES:
        assert_agrees(model, X.astype(dtype))


@pytest.mark.parametrize("network", ["as it is", "deep", "members with all", "pruned"])
def test_direct_inputs_and_bins_of_some_columns_agree(network):
    X = np.exp(np.random.default_rng(0).normal(size=(1000, 3)))
    options = NETWORKS[network] | {"resolution": "auto"}
    model = quick("number", **options).fit(X, X[:, 0] + 3 * (X[:, 1] > 2))
    assert model.architecture_.n_direct
    assert 0 < len(model.encoding_.binned) < 3
    assert_agrees(model, X, 10 * X, -X)


def test_networks_with_a_past_agree():
    X = make_table()
    y = make_target(X, "classes")
    taught = quick(
        "classes", teacher=LogisticRegression(max_iter=2000), distillation=Distillation(cv=None)
    )
    assert_agrees(taught.fit(X, y), X)
    grown = quick("classes", warm_start=True).fit(X, y)
    assert_agrees(grown.set_params(width=12, depth=3).fit(X, y), X)
    assert_agrees(
        prune(grown.set_params(pruning=Pruning(0.0, finetune_epochs=1)), X, y, amount=0.5), X
    )
    streamed = quick("number")
    for rows in (slice(0, 150), slice(150, N)):
        streamed.partial_fit(X[rows], make_target(X, "number")[rows])
    assert_agrees(streamed, X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_targets_far_from_zero_are_predicted_in_float64(dtype):
    X = make_table().astype(dtype)
    session = assert_agrees(quick("far").fit(X, make_target(X, "far")), X)
    assert session.get_outputs()[0].type == "tensor(double)"


def test_columns_as_targets_are_predicted_as_columns():
    X = make_table()
    with pytest.warns(UserWarning, match="column-vector y was passed"):
        model = quick("number").fit(X, make_target(X, "number")[:, None])
    assert assert_agrees(model, X).get_outputs()[0].shape == [None, 1]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (np.array(["no", "yes", "perhaps"]), "tensor(string)"),
        (np.array(["no", "yes", "perhaps"], dtype=object), "tensor(string)"),
        (np.array(["Zürich", "", "名"]), "tensor(string)"),
        (np.array([-5, 0, 2**40]), "tensor(int64)"),
        (np.array([1, 2, 250], dtype=np.uint8), "tensor(int64)"),
        (np.array([0.0, 1.0, -3.0]), "tensor(int64)"),
        (np.array([False, True]), "tensor(int64)"),
    ],
    ids=["strings", "objects", "letters", "ints", "bytes", "floats", "bools"],
)
def test_labels_come_as_strings_or_int64(labels, kind):
    X = make_table()
    y = labels[np.arange(N) % len(labels)]
    session = assert_agrees(quick("classes").fit(X, y), X)
    assert session.get_outputs()[0].type == kind


def test_labels_that_int64_does_not_hold_are_refused_or_numbered():
    X = make_table()
    y = np.array([1, 2**63 + 5], dtype=np.uint64)[np.arange(N) % 2]
    model = quick("binary").fit(X, y)
    with pytest.raises(ValueError, match=r'strings or integers as labels.*"nocl": True'):
        open_session(model, X, options={"zipmap": False})
    session = open_session(model, X, options={"zipmap": False, "nocl": True})
    places = session.run(["label"], {"X": X})[0]
    np.testing.assert_array_equal(model.classes_[places], model.predict(X))


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["binary", "classes", "labels"])
def test_probabilities_come_as_maps_or_columns(kind, dtype, precision):
    X = make_table().astype(dtype)
    model = quick(kind, precision=precision).fit(X, make_target(X, kind))
    expected = model.predict_proba(X)
    session = open_session(model, X)
    labels, maps = session.run(None, {"X": X})
    assert session.get_outputs()[0].shape == [None, *labels.shape[1:]]
    np.testing.assert_array_equal(labels, model.predict(X))
    assert list(maps[0]) == model.classes_.tolist()
    found = [list(row.values()) for row in maps]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    session = open_session(model, X, options={ScaledMLPClassifier: {"zipmap": "columns"}})
    prefix = "s" if kind == "binary" else "i"
    names = [output.name for output in session.get_outputs()]
    assert names == ["output_label", *(f"{prefix}{label}" for label in model.classes_)]
    labels, *columns = session.run(None, {"X": X})
    np.testing.assert_allclose(np.column_stack(columns), expected, rtol=0, atol=1e-5)
    assert columns[0].dtype == expected.dtype


def test_raw_scores_are_logits():
    X = make_table()
    for kind in ("binary", "classes", "labels"):
        model = quick(kind, n_estimators=2).fit(X, make_target(X, kind))
        session = open_session(model, X, options={"zipmap": False, "raw_scores": True})
        expected = model.decision_function(X)
        if kind == "binary":
            expected = np.column_stack([-expected, expected])
        np.testing.assert_allclose(session.run(None, {"X": X})[1], expected, atol=1e-5)


def test_unknown_options_are_refused_by_skl2onnx():
    X = make_table()
    model = quick("binary").fit(X, make_target(X, "binary"))
    with pytest.raises(NameError, match=r"Option 'decision_path' not in"):
        open_session(model, X, options={ScaledMLPClassifier: {"decision_path": True}})


@pytest.mark.parametrize("opset", [OLDEST, 17, 18, NEWEST])
def test_versions_of_onnx_are_those_that_are_asked_for(opset):
    X = make_table()
    parameters = NETWORKS["members with all"]
    for kind in ("binary", "counts"):
        model = quick(kind, **parameters).fit(X, make_target(X, kind))
        graph = skl2onnx.to_onnx(model, X[:1], target_opset=opset)
        assert {o.domain: o.version for o in graph.opset_import}[""] == opset
        assert_agrees(model, X, target_opset=opset)


def test_versions_that_are_too_old_are_refused():
    X = make_table()
    model = quick("number").fit(X, make_target(X, "number"))
    with pytest.raises(ValueError, match=r"target_opset=12 is too old.*Expected 13 or newer"):
        skl2onnx.to_onnx(model, X[:1], target_opset=12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "scaler",
    [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler()],
    ids=lambda scaler: type(scaler).__name__,
)
def test_pipelines_agree(scaler, dtype):
    X = make_table().astype(dtype)
    for kind in ("binary", "numbers"):
        # float32 of skl2onnx's scalers is not scikit-learn's: divided, it is.
        options = {type(scaler): {"div": "div"}} if not isinstance(scaler, MinMaxScaler) else {}
        if kind == "binary":
            options[ScaledMLPClassifier] = {"zipmap": False}
        pipeline = make_pipeline(scaler, quick(kind, preprocessing=None))
        assert_agrees(pipeline.fit(X, make_target(X, kind)), X, options=options)


def test_a_search_converts_as_its_best_estimator():
    X = make_table()
    pipeline = make_pipeline(StandardScaler(), quick("binary"))
    search = GridSearchCV(pipeline, {"scaledmlpclassifier__width": [4, 8]}, cv=2)
    search.fit(X, make_target(X, "binary"))
    assert_agrees(search, X)
    assert_agrees(search.best_estimator_, X)


@pytest.mark.parametrize("dtype", DTYPES)
def test_estimators_of_estimators_agree(dtype):
    X = make_table().astype(dtype)
    network, linear = quick("classes"), LogisticRegression(max_iter=2000)
    parts = [("network", network), ("linear", make_pipeline(StandardScaler(), linear))]
    y = make_target(X, "classes")
    for model in (
        VotingClassifier(parts, voting="soft", flatten_transform=False),
        StackingClassifier(parts, linear, cv=2),
        CalibratedClassifierCV(network, cv=2),
        OneVsRestClassifier(network),
    ):
        session = open_session(model.fit(X, y), X, options={"zipmap": False})
        labels, probabilities = session.run(None, {"X": X})
        np.testing.assert_array_equal(labels, model.predict(X))
        np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    for kind, model in (
        ("numbers", MultiOutputRegressor(quick("number"))),
        ("number", StackingRegressor([("n", quick("number"))], LinearRegression(), cv=2)),
    ):
        model.fit(X, make_target(X, kind))
        predicted = open_session(model, X).run(None, {"X": X})[0]
        expected = model.predict(X)
        scale = 1e-5 * np.std(expected)
        np.testing.assert_allclose(predicted.reshape(expected.shape), expected, 1e-6, scale)


def make_frame(n=N, seed=0):
    """Numbers with gaps, words with gaps, one of them rare, and numbers that are categories."""
    rng = np.random.default_rng(seed)
    fare = rng.lognormal(3, 1, n)
    fare[::7] = np.nan
    towns = ["Ulm", "Graz", "Bern", "Chur"]
    town = rng.choice(towns, n, p=[0.5, 0.3, 0.19, 0.01]).astype(object)
    town[::9] = None
    return pd.DataFrame(
        {
            "age": rng.integers(0, 90, n).astype(np.float64),
            "town": town,
            "fare": fare,
            "colour": rng.choice(["red", "green"], n).astype(object),
            "code": rng.choice([3, 5, 9, 11], n),
        }
    )


def target_of(frame):
    return np.where((frame["age"] > 45) ^ (frame["colour"] == "red"), "yes", "no")


CATEGORIES = ["town", "colour", "code"]


@pytest.mark.parametrize("opset", [OLDEST, NEWEST])
def test_a_frame_as_it_comes_has_an_input_for_each_column(opset):
    frame = make_frame()
    model = quick("binary", categorical_features=CATEGORIES, resolution=3)
    model.fit(frame, target_of(frame))
    unseen = frame.copy()
    unseen.loc[:9, "town"], unseen.loc[5:14, "colour"] = "Linz", "blue"
    unseen.loc[10:19, "code"], unseen.loc[20:29, "colour"] = 77, None
    session = assert_agrees(model, frame, unseen, target_opset=opset)
    assert [i.name for i in session.get_inputs()] == list(frame)


def test_missing_strings_have_the_words_that_a_runtime_makes_of_them():
    frame = make_frame()
    y = target_of(frame)
    model = quick("binary", categorical_features=CATEGORIES).fit(frame, y)
    session = open_session(model, frame, options={"zipmap": False})
    expected = model.predict_proba(frame.assign(town=None))
    for word in ("", "nan", "None", "<NA>", None, np.nan, pd.NA):
        feed = feed_of(frame.assign(town=pd.Series([word] * N, dtype=object)))
        found = session.run(["probabilities"], feed)[0]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    # Unless a category is called so.
    frame["town"] = frame["town"].fillna("None")
    model.fit(frame, y)
    assert_agrees(model, frame)


def test_strings_and_numbers_may_come_in_a_tensor_each():
    frame = make_frame()[["town", "colour", "age", "fare", "code"]]
    table = frame.to_numpy(object)
    model = quick("binary", categorical_features=[0, 1, 4]).fit(table, target_of(frame))
    session = open_session(
        model,
        [("words", StringTensorType([None, 2])), ("numbers", DoubleTensorType([None, 3]))],
        options={"zipmap": False},
    )
    feed = {"words": table[:, :2], "numbers": table[:, 2:].astype(np.float64)}
    labels, probabilities = session.run(None, feed)
    np.testing.assert_array_equal(labels, model.predict(table))
    np.testing.assert_allclose(probabilities, model.predict_proba(table), rtol=0, atol=1e-5)


def test_a_tensor_of_strings_holds_categories_and_numbers_as_text():
    frame = make_frame()[["town", "age", "fare"]].astype(str)
    table = frame.to_numpy(object)
    model = quick("binary", categorical_features=[0]).fit(table, target_of(make_frame()))
    session = open_session(
        model, [("X", StringTensorType([None, 3]))], options={"zipmap": False}
    )
    probabilities = session.run(None, {"X": table})[1]
    np.testing.assert_allclose(probabilities, model.predict_proba(table), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_categories_that_are_numbers_stand_among_numbers(dtype):
    frame = make_frame()
    X = frame[["age", "code", "fare"]].to_numpy(dtype)
    X[::11, 1] = np.nan
    model = quick("binary", categorical_features=[1]).fit(X, target_of(frame))
    unseen = X.copy()
    unseen[:20, 1] = 77
    assert_agrees(model, X, unseen)


def test_categories_that_were_always_missing_agree():
    X = np.column_stack([np.full(60, np.nan), np.arange(60) % 7.0])
    model = quick("binary", categorical_features=[0]).fit(X, np.arange(60) % 2)
    assert_agrees(model, X, np.nan_to_num(X))


@pytest.mark.parametrize("parameters", [{}, {"preprocessing": None}, {"resolution": 4}])
def test_missing_numbers_agree(parameters):
    X = make_table() / np.array([1, 100, 1e-3, 1e3, 5, 1], np.float32)
    X[::3, 1] = np.nan
    for kind in ("labels", "number"):
        model = quick(kind, **parameters).fit(X, np.nan_to_num(make_target(X, kind)))
        for dtype in DTYPES:
            assert_agrees(model, X.astype(dtype))


def test_a_column_transformer_before_a_network_agrees():
    # float32: ONNX Runtime has no imputer of float64.
    frame = make_frame().astype({"age": np.float32, "fare": np.float32})
    frame["town"] = frame["town"].fillna("none")
    for words in (
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    ):
        columns = ColumnTransformer(
            [
                ("words", words, ["town", "colour"]),
                ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "fare"]),
                ("codes", "passthrough", ["code"]),
            ]
        )
        pipeline = make_pipeline(columns, quick("binary")).fit(frame, target_of(frame))
        assert_agrees(pipeline, frame)


def test_inputs_that_do_not_fit_are_refused():
    frame = make_frame()
    y = target_of(frame)
    named = quick("binary", categorical_features=CATEGORIES).fit(frame, y)
    with pytest.raises(ValueError, match=r"order \['code', .*Expected.*\['age', 'town'"):
        open_session(named, frame[frame.columns[::-1]])
    table = frame[["town", "code", "age"]].to_numpy(object)
    model = quick("binary", categorical_features=[0, 1]).fit(table, y)
    for kind, message in (
        (StringTensorType, r"categories of column 1 are numbers.*tensor has strings"),
        (FloatTensorType, r"categories of column 0 are strings.*tensor has numbers"),
    ):
        message += r"\. Expected .*initial_types.*ColumnTransformer"
        with pytest.raises(ValueError, match=message):
            open_session(model, [("X", kind([None, 3]))])
    for inputs in (
        [("X", FloatTensorType([None, 4]))],
        [("a", StringTensorType([None, 1])), ("b", FloatTensorType([None, None]))],
    ):
        with pytest.raises(ValueError, match=r"inputs have .* columns. Expected 3 in total"):
            open_session(model, inputs)
    with pytest.raises(ValueError, match=r"shapes \[\[None, 2, 3\]\]. Expected two axes"):
        open_session(model, [("X", FloatTensorType([None, 2, 3]))])
    numeric = quick("number").fit(make_table(), make_target(make_table(), "number"))
    with pytest.raises(TypeError, match=r"'X' has type String.*fitted without categorical"):
        open_session(numeric, [("X", StringTensorType([None, 6]))])


EXTREMES = [1e30, -1e30, 3e38, -3e38, 1e-30, 1e-45, 1e10, -1e10]


def predict_or_refuse(predict, row):
    """Return what is predicted of a row, or None where the estimator refuses it."""
    try:
        return np.atleast_2d(predict(row))[0]
    except ValueError as error:
        if "not finite" not in str(error):
            raise
        return None


@pytest.mark.parametrize("activation", ["silu", "gelu", "mish", "relu", "tanh", "logistic"])
@pytest.mark.parametrize("preprocessing", ["auto", None])
def test_extreme_values_give_the_predictions_of_the_estimator(preprocessing, activation):
    X = make_table() / np.array([1, 100, 1e-3, 1e3, 5, 1], np.float32)
    extreme = np.zeros((len(EXTREMES), 6))
    extreme[np.arange(len(EXTREMES)), np.arange(len(EXTREMES)) % 6] = EXTREMES
    options = {"preprocessing": preprocessing, "activation": activation}
    n_compared = 0
    for kind in ("classes", "binary", "number"):
        model = quick(kind, **options).fit(X, make_target(X, kind))
        predict = model.predict if kind == "number" else model.predict_proba
        for dtype in DTYPES:
            table = extreme.astype(dtype)
            session = open_session(
                model, table, **({} if kind == "number" else {"options": {"zipmap": False}})
            )
            found = session.run(None, {"X": table})[-1]
            for row, numbers in zip(table, found, strict=True):
                expected = predict_or_refuse(predict, row[None])
                if expected is not None:
                    n_compared += 1
                    rtol = 1e-5 if preprocessing else 1e-3  # sums of large numbers cancel
                    np.testing.assert_allclose(numbers, expected, rtol=rtol, atol=1e-5)
    # The estimator refuses few of them, and none where numbers are clipped.
    assert n_compared > 30 if preprocessing is None else n_compared == 48


def test_missing_values_that_were_not_learned_give_no_number():
    X = make_table()
    for activation in ("silu", "relu", "tanh"):
        model = quick("number", preprocessing=None, activation=activation)
        model.fit(X, make_target(X, "number"))
        X_missing = X[:2].copy()
        X_missing[0, 0] = np.nan
        with pytest.raises(ValueError, match="contains NaN"):
            model.predict(X_missing)
        found = open_session(model, X).run(None, {"X": X_missing})[0]
        np.testing.assert_array_equal(np.isnan(found[:, 0]), [True, False])


def test_activations_whose_squares_overflow_give_no_number():
    X = make_table()
    model = quick("number", preprocessing=None, normalization="layer", activation="relu")
    model.fit(X, make_target(X, "number"))
    row = np.full((1, 6), 1e30, np.float32)
    with pytest.raises(ValueError, match="not finite"):
        model.predict(row)
    assert np.isnan(open_session(model, X).run(None, {"X": row})[0]).all()


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (48, 11, 8, 3)).astype(np.uint8)
    images[::2, 2:6, 2:6] //= 4
    return images


IMAGE_NETWORKS = {
    "as it is": {},
    "members": {"n_estimators": 2},
    "shrunk": {"resolution": 6},
    "enlarged": {"resolution": 15},
    "down to one pixel": {"width": (4, 4, 4, 4, 4, 4), "activation": "gelu"},
    "deep": {"depth": 2, "width": (4, 8), "activation": "mish"},
    "pruned": {"pruning": Pruning(0.5, finetune_epochs=1), "activation": "relu"},
    "float64": {"precision": "float64"},
}
PIXELS = {
    np.uint8: UInt8TensorType, np.float32: FloatTensorType, np.float64: DoubleTensorType
}  # fmt: skip


@pytest.mark.parametrize("network", IMAGE_NETWORKS)
def test_convolutional_networks_agree(network, pictures):
    parameters = {"width": 8, "max_epochs": 1, "random_state": 0, **IMAGE_NETWORKS[network]}
    darkness = 255 - pictures.mean(axis=(1, 2))
    first = pictures.transpose(0, 3, 1, 2)
    for model, images, y in (
        (ScaledCNNClassifier(**parameters), pictures, np.array(list("abc"))[np.arange(48) % 3]),
        (ScaledCNNRegressor(**parameters, channels="first"), first, darkness),
        (ScaledCNNRegressor(**parameters, loss="poisson"), pictures, darkness[:, 0]),
    ):
        model.fit(images, y)
        for dtype, tensor in PIXELS.items():
            X = np.ascontiguousarray(images, dtype=dtype)
            options = {"zipmap": False} if hasattr(model, "classes_") else None
            session = open_session(
                model, [("X", tensor([None, *X.shape[1:]]))], options=options
            )
            for n in (1, 2, 33):
                found = session.run(None, {"X": X[:n]})
                expected = model.predict(X[:n])
                if hasattr(model, "classes_"):
                    np.testing.assert_array_equal(found[0], expected)
                    expected = model.predict_proba(X[:n])
                    np.testing.assert_allclose(found[1], expected, rtol=0, atol=1e-5)
                else:
                    scale = np.std(darkness)
                    columns = expected.reshape(n, -1)
                    np.testing.assert_allclose(found[0], columns, rtol=0, atol=1e-5 * scale)
                assert found[-1].dtype == expected.dtype


def test_rows_of_pixels_agree_in_the_oldest_version(digits):
    X, y = digits[0][:300], digits[1][:300]
    model = ScaledCNNClassifier(width=8, max_epochs=2, random_state=0).fit(X, y)
    assert_agrees(model, X, target_opset=OLDEST)
    with pytest.raises(ValueError, match=r"has 2 inputs\. Expected one tensor"):
        open_session(
            model,
            [("a", FloatTensorType([None, 32])), ("b", FloatTensorType([None, 32]))],
        )


def test_images_of_another_shape_are_refused(pictures):
    model = ScaledCNNRegressor(width=4, max_epochs=1).fit(pictures, pictures.mean((1, 2, 3)))
    for shape in ([None, 3, 11, 8], [None, 8, 11, 3], [None, 88], [None, 11, 8]):
        with pytest.raises(ValueError, match=r"Expected images of shape \(11, 8, 3\)"):
            open_session(model, [("X", FloatTensorType(shape))])
    session = open_session(model, [("X", FloatTensorType([None, None, None, None]))])
    X = pictures.astype(np.float32)
    found = session.run(None, {"X": X})[0][:, 0]
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-5)


class Own(torch.nn.Module):
    """A module that skl2onnx cannot know."""

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.output = torch.nn.Linear(n_features, n_outputs)

    def forward(self, x):
        """Compute the outputs."""
        return self.output(x)


@pytest.mark.parametrize("cls", [ScaledNetworkClassifier, ScaledNetworkRegressor])
def test_modules_of_the_users_own_are_refused_by_name(cls):
    X = make_table()
    y = make_target(X, "classes")
    network = cls(Own, max_epochs=1, random_state=0)
    message = rf"got {cls.__name__} with the custom module Own.*torch\.onnx\.export\("
    for model in (network, make_pipeline(StandardScaler(), network)):
        with pytest.raises(TypeError, match=message):
            open_session(model.fit(X, y), X)
    if cls is ScaledNetworkClassifier:
        stacked = StackingClassifier([("network", network)], cv=2).fit(X, y)
        with pytest.raises(TypeError, match=message):
            open_session(stacked, X)


def test_unfitted_estimators_are_refused():
    for kind in ("binary", "number"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            open_session(quick(kind), make_table())


def test_a_graph_is_as_small_as_the_weights():
    X = make_table()
    model = quick("numbers", width=128).fit(X, make_target(X, "numbers"))
    n_bytes = 4 * model.complexity_.n_parameters
    for dtype in DTYPES:  # weights are widened where they are used
        graph = skl2onnx.to_onnx(model, X[:1].astype(dtype))
        assert n_bytes < len(graph.SerializeToString()) < n_bytes + 8_000


@pytest.mark.parametrize("package", ["onnx", "skl2onnx"])
def test_without_the_packages_the_extra_is_named(package, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("skscale.onnx")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delattr("skscale.onnx")
    with pytest.raises(ImportError, match=r'be imported .*pip install "skscale\[onnx\]"'):
        import skscale.onnx  # noqa: F401


def test_dense_networks_are_converted_without_torch_and_nothing_else_needs_onnx(tmp_path):
    X = make_table()
    model = quick("binary", n_estimators=2).fit(X, make_target(X, "binary"))
    (tmp_path / "network.pickle").write_bytes(pickle.dumps(model))
    script = """
import pickle, sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("torch", "skorch"):
            raise ImportError("not installed here")
sys.meta_path.insert(0, Refuse())
import numpy as np, skscale
network = pickle.load(open(sys.argv[1], "rb"))
network.predict(np.zeros((1, 6)))
assert not {"onnx", "skl2onnx"} & set(sys.modules)
import skl2onnx, skscale.onnx
print(len(skl2onnx.to_onnx(network, np.zeros((1, 6), np.float32)).graph.node))
"""
    path = str(tmp_path / "network.pickle")
    run = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
    )
    assert not run.returncode, run.stderr
    assert int(run.stdout) > 5
