"""Networks behind skrub's TableVectorizer, on rows with dates and text."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline

from skscale import (
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    SmallestWithin,
    complexity,
    cost_scoring,
    diagnose,
    freeze,
    scale_grid,
    scale_report,
)
from skscale.fusion import last_fused_run

skrub = pytest.importorskip("skrub")
pytestmark = pytest.mark.usefixtures("two_threads")
GRID = {"scaledmlpclassifier__width": [4, 8]}


def make_rows(n=240):
    """Return rows of which only the words and the month tell the label."""
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), unit="D")
    words = np.array(["engine", "wing", "window", "nose", "tail", "gear"])
    said = [" ".join(rng.choice(words, 5)) + f" {i}" for i in range(n)]
    y = np.array(["engine" in text for text in said]) & (days.month > 3)
    return pd.DataFrame({"when": days.strftime("%d.%m.%Y"), "said": said}), y.astype(int)


def make_network(**parameters):
    parameters = {"depth": 1, "width": 8, "max_epochs": 20, "random_state": 0, **parameters}
    vectorizer = skrub.TableVectorizer(high_cardinality=skrub.StringEncoder(random_state=0))
    return make_pipeline(vectorizer, ScaledMLPClassifier(**parameters))


X, Y = make_rows()


@pytest.fixture(scope="module")
def fitted():
    return make_network().fit(X, Y)


def test_it_learns_from_dates_and_text_without_a_warning(fitted):
    assert fitted.score(X, Y) > max(Y.mean(), 1 - Y.mean()) + 0.1
    one = fitted.predict_proba(X[:1])
    np.testing.assert_allclose(one, fitted.predict_proba(X)[:1], atol=1e-5)


def test_the_default_pipeline_of_skrub_takes_a_network():
    network = ScaledMLPRegressor(depth=1, width=8, max_epochs=5, random_state=0)
    assert skrub.tabular_pipeline(network).fit(X, Y * 1.0).predict(X).shape == (len(X),)


def test_its_pickle_predicts_the_same(fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize("caches", [False, True])
def test_candidates_of_a_search_fuse_and_score_as_in_a_plain_search(caches, tmp_path):
    pipeline = make_network().set_params(memory=str(tmp_path) if caches else None)
    plain = GridSearchCV(pipeline, GRID, cv=2).fit(X, Y)
    with joblib.parallel_config(backend="skscale"):
        fused = GridSearchCV(clone(pipeline), GRID, cv=2, refit=False).fit(X, Y)
    assert last_fused_run().stack_sizes == [2, 2]
    np.testing.assert_allclose(
        fused.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )


def test_cross_validate_fuses():
    expected = cross_validate(make_network(), X, Y, cv=2)["test_score"]
    with joblib.parallel_config(backend="skscale"):
        found = cross_validate(make_network(), X, Y, cv=2)["test_score"]
    np.testing.assert_allclose(found, expected)


def test_freeze_refuses_the_vectorizer_and_its_remedy_works(fitted):
    with pytest.raises(
        TypeError, match=r"TableVectorizer cannot be frozen.*pipeline\[-1\]"
    ) as e:
        freeze(fitted)
    assert "remove the step" not in str(e.value)
    frozen = freeze(fitted[-1])
    inputs = fitted[:-1].transform(X)
    np.testing.assert_allclose(frozen.predict_proba(inputs), fitted.predict_proba(X), atol=1e-6)


@pytest.mark.slow
def test_grids_costs_and_reports_take_it(fitted):
    grid = scale_grid(fitted, X, Y)
    assert {name for part in grid for name in part} == {
        "scaledmlpclassifier__depth", "scaledmlpclassifier__width"
    }  # fmt: skip
    assert complexity(fitted).n_parameters > 0
    search = GridSearchCV(
        make_network(max_epochs=2), GRID, cv=2, scoring=cost_scoring("accuracy"),
        refit=SmallestWithin(),
    ).fit(X, Y)  # fmt: skip
    assert "width" in str(scale_report(search))
    diagnosis = diagnose(make_network(max_epochs=2), X, Y, cv=2, max_repeats=1)
    assert "wider" in str(diagnosis)
