"""Grids of scales for given data."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris, make_regression
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import GridSearchCV, ParameterGrid, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, cost_scoring, scale_grid


def sizes(grid, n_features, n_outputs, prefix=""):
    """Numbers of parameters of each depth, counted by hand."""
    counted = {}
    for part in grid:
        (depth,) = part[f"{prefix}depth"]
        for width in part.get(f"{prefix}width", [0]):
            layers = [n_features, *[width] * depth, n_outputs]
            n = sum(a * b + b for a, b in itertools.pairwise(layers))
            counted.setdefault(depth, []).append(n)
    return counted


@pytest.mark.parametrize("n_rows", [200, 2_000, 200_000])
@pytest.mark.parametrize("n_classes", [2, 7])
def test_sizes_grow_geometrically_to_thirty_parameters_a_row(n_rows, n_classes):
    X, y = np.zeros((n_rows, 20)), np.arange(n_rows) % n_classes
    n_outputs = 1 if n_classes == 2 else n_classes
    grid = scale_grid(ScaledMLPClassifier(), X, y)
    assert len(ParameterGrid(grid)) <= 25
    counted = sizes(grid, 20, n_outputs)
    assert list(counted) == [0, 1, 2, 3]
    smallest = 20 * 4 + 4 + 4 * n_outputs + n_outputs
    largest = max(min(30 * n_rows, 250_000), 16 * smallest)
    for depth in (1, 2, 3):
        assert 0.7 * smallest <= counted[depth][0] <= 1.7 * smallest
        width = grid[depth]["width"][-1]
        assert width <= 1024
        assert width == 1024 or 0.75 * largest <= counted[depth][-1] <= 1.3 * largest
        steps = np.diff(np.log(counted[depth]))
        assert (steps > 0).all()
    steps = np.diff(np.log(counted[1]))
    assert steps.max() < 2 * steps.min()


@pytest.mark.parametrize("n_candidates", range(2, 30))
def test_there_are_no_more_candidates_than_asked_for(n_candidates):
    X, y = np.zeros((3000, 8)), np.arange(3000) % 3
    n = len(ParameterGrid(scale_grid(ScaledMLPClassifier(), X, y, n_candidates=n_candidates)))
    assert n <= n_candidates
    if n_candidates <= 20:  # more than that need not differ
        assert n >= n_candidates - 2


def test_wide_text_gets_narrow_networks():
    texts = [f"word{i} word{i + 1} word{3 * i}" for i in range(2000)]
    model = make_pipeline(CountVectorizer(), ScaledMLPClassifier())
    grid = scale_grid(model, texts, np.arange(2000) % 2)
    assert max(grid[1]["scaledmlpclassifier__width"]) <= 64
    assert scale_grid(ScaledMLPClassifier(), [[0.0] * 3] * 50, np.arange(50) % 2)


@pytest.mark.parametrize(
    ("estimator", "prefix"),
    [
        (ScaledMLPRegressor(), ""),
        (make_pipeline(StandardScaler(), ScaledMLPRegressor()), "scaledmlpregressor__"),
        (TransformedTargetRegressor(ScaledMLPRegressor()), "regressor__"),
        (
            TransformedTargetRegressor(make_pipeline(StandardScaler(), ScaledMLPRegressor())),
            "regressor__scaledmlpregressor__",
        ),
    ],
    ids=str,
)
def test_names_have_the_prefix_that_belongs_there(estimator, prefix):
    X, y = make_regression(300, 5, random_state=0)
    for part in scale_grid(estimator, X, y):
        assert set(part) <= {f"{prefix}depth", f"{prefix}width"}
        for name, values in part.items():
            estimator.set_params(**{name: values[0]})
    counted = sizes(scale_grid(estimator, X, y), 5, 1, prefix)
    assert 0.75 * 9000 <= counted[1][-1] <= 1.3 * 9000


def test_columns_are_those_that_the_network_sees():
    X, y = np.arange(900).reshape(-1, 1) % 300, np.arange(900) % 2
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), ScaledMLPClassifier())
    counted = sizes(scale_grid(model, X, y), 300, 1, "scaledmlpclassifier__")
    assert counted[0] == [301]
    assert counted[1][0] == 300 * 4 + 4 + 4 + 1


def test_a_frame_is_counted_as_the_network_sees_it():
    X = pd.DataFrame(
        {"size": np.arange(900.0), "town": [f"town {i % 30}" for i in range(900)], "kind": "a"}
    )
    X.loc[::7, "size"] = np.nan
    y = np.arange(900) % 2
    network = ScaledMLPClassifier(random_state=0, max_epochs=1)
    n_inputs = network.fit(X, y).coefs_[0].shape[0]
    assert n_inputs == 2 + 30 + 1
    assert sizes(scale_grid(network, X, y), n_inputs, 1)[0] == [n_inputs + 1]
    network.set_params(resolution=4)
    assert sizes(scale_grid(network, X, y), n_inputs + 4, 1)[0] == [n_inputs + 4 + 1]


def test_several_outputs():
    X, y = make_regression(300, 5, n_targets=3, random_state=0)
    assert sizes(scale_grid(ScaledMLPRegressor(), X, y), 5, 3)[1][0] == 5 * 4 + 4 + 4 * 3 + 3
    labels = (y > 0).astype(int)
    assert (
        sizes(scale_grid(ScaledMLPClassifier(), X, labels), 5, 3)[1][0] == 5 * 4 + 4 + 4 * 3 + 3
    )


def test_searches_take_it():
    X, y = load_iris(return_X_y=True)
    network = ScaledMLPClassifier(max_epochs=2, random_state=0)
    grid = scale_grid(network, X, y, n_candidates=5)
    scoring = cost_scoring(costs=["n_parameters"])
    search = GridSearchCV(network, grid, scoring=scoring, refit="score", cv=2).fit(X, y)
    found = sorted(search.cv_results_["mean_test_n_parameters"])
    assert found == sorted(itertools.chain(*sizes(grid, 4, 3).values()))
    randomized = RandomizedSearchCV(network, grid, n_iter=3, cv=2, random_state=0).fit(X, y)
    assert len(randomized.cv_results_["params"]) == 3


def test_estimators_without_a_network_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError, match=r"Expected an estimator of skscale.*RandomForest"):
        scale_grid(RandomForestClassifier(), X, y)
    with pytest.raises(ValueError, match="n_candidates must be at least 2"):
        scale_grid(ScaledMLPClassifier(), X, y, n_candidates=1)


def test_other_networks_raise_an_error_with_their_name():
    from skscale import ScaledCNNClassifier, diagnose

    X, y = np.zeros((20, 4)), np.arange(20) % 2
    for function in (scale_grid, diagnose):
        pattern = "Expected dense networks, .* got ScaledCNNClassifier"
        with pytest.raises(TypeError, match=pattern):
            function(ScaledCNNClassifier(), X, y)
    with pytest.raises(TypeError, match=r"got <class 'numpy.*as the first argument"):
        scale_grid(X, y, ScaledMLPClassifier())
