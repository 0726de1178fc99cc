"""Hyperparameter groups: a plain value or an object, in every tool of scikit-learn."""

import pickle
import re
from inspect import signature

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import (
    Distillation,
    Pruning,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkClassifier,
    prune,
)

FAST = {"width": 8, "max_epochs": 2, "random_state": 0}
SHORT = {"n_steps": 1, "finetune_epochs": 1}


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order], y[order]


def test_the_dense_classifier_has_at_most_40_parameters():
    assert len(signature(ScaledMLPClassifier).parameters) <= 40


@pytest.mark.parametrize(
    ("group", "same", "other"),
    [
        (Pruning(0.5), Pruning(amount=0.5), Pruning(0.5, "weights")),
        (Pruning(0), Pruning(0.0), Pruning(0, round_to=2)),
        (
            Distillation(cv=[([0], [1])]),
            Distillation(cv=[([0], [1])]),
            Distillation(cv=[([1], [0])]),
        ),
        (Distillation(1), Distillation(1.0), Pruning(0.5)),
    ],
    ids=str,
)
def test_groups_are_compared_by_value(group, same, other):
    assert group == same
    assert hash(group) == hash(same)
    assert group != other
    assert group != 0.5
    assert clone(group) == group
    assert pickle.loads(pickle.dumps(group)) == group


def test_a_group_shows_values_that_differ_from_the_default():
    assert repr(Pruning(0.75, "weights")) == "Pruning(amount=0.75, granularity='weights')"
    assert repr(Distillation(temperature=4.0)) == "Distillation(temperature=4.0)"


@pytest.mark.parametrize("amount", [0.0, 0.5])
def test_a_plain_value_is_the_short_form(iris, amount):
    plain = ScaledMLPClassifier(pruning=amount, **FAST).fit(*iris)
    group = ScaledMLPClassifier(pruning=Pruning(amount), **FAST).fit(*iris)
    assert plain.complexity_ == group.complexity_
    assert plain.complexity_.widths == (8, 8) if amount == 0 else (4, 4)
    np.testing.assert_array_equal(plain.predict_proba(iris[0]), group.predict_proba(iris[0]))
    taught = {"teacher": LogisticRegression(), **FAST}
    plain = ScaledMLPClassifier(distillation=amount, **taught).fit(*iris)
    group = ScaledMLPClassifier(distillation=Distillation(amount), **taught).fit(*iris)
    np.testing.assert_array_equal(plain.predict_proba(iris[0]), group.predict_proba(iris[0]))


def test_a_search_takes_plain_values_nested_names_and_both(iris):
    grid = [
        {"pruning": [0.0, 0.5]},
        {"pruning": [Pruning(**SHORT)], "pruning__amount": [0.0, 0.5]},
        {
            "pruning": [
                Pruning(0.5, importance=kind, **SHORT) for kind in ("taylor", "magnitude")
            ]
        },
    ]
    network = ScaledMLPClassifier(**FAST)
    search = GridSearchCV(network, grid, cv=2, error_score="raise").fit(*iris)
    assert len(search.cv_results_["params"]) == 6
    nested = GridSearchCV(
        ScaledMLPClassifier(pruning=Pruning(**SHORT), **FAST),
        {"pruning__amount": [0.0, 0.5]}, cv=2, error_score="raise",
    ).fit(*iris)  # fmt: skip
    scores = search.cv_results_["mean_test_score"]
    np.testing.assert_array_equal(nested.cv_results_["mean_test_score"], scores[2:4])
    assert network.pruning == 0.0


def test_the_objects_of_a_grid_are_not_changed(iris):
    shared = Pruning(**SHORT)
    grid = {"pruning": [shared], "pruning__amount": [0.25, 0.75]}
    GridSearchCV(ScaledMLPClassifier(**FAST), grid, cv=2).fit(*iris)
    assert shared == Pruning(**SHORT)


@pytest.mark.parametrize(
    ("name", "value"), [("pruning__amount", 0.5), ("distillation__temperature", 2.0)]
)
def test_a_nested_name_on_a_plain_value_names_the_group(name, value):
    prefix = name.partition("__")[0]
    group = prefix.capitalize()
    network = ScaledMLPClassifier()
    with pytest.raises(
        ValueError, match=rf"{name} is a parameter of {group}.*{prefix}={group}\(\)"
    ):
        network.set_params(**{name: value})
    network.set_params(
        **{prefix: Pruning() if prefix == "pruning" else Distillation(), name: value}
    )
    assert network.get_params()[name] == value


def test_an_estimator_without_pruning_raises_an_error():
    network = ScaledNetworkClassifier(module=StandardScaler)
    with pytest.raises(ValueError, match="Invalid parameter 'pruning'"):
        network.set_params(pruning__amount=0.5)


def test_values_are_checked_in_fit_and_name_the_group(iris):
    for pruning, message in (
        (
            Pruning(1.0),
            r"'amount' parameter of Pruning must be a float in the range \[0.0, 1.0\)",
        ),
        (Pruning(scope="all"), "'scope' parameter of Pruning must be a str among"),
        (
            "half",
            "'pruning' parameter of ScaledMLPClassifier must be a float .* or an instance",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            ScaledMLPClassifier(pruning=pruning, **FAST).fit(*iris)
    with pytest.raises(ValueError, match="'weight' parameter of Distillation"):
        ScaledMLPClassifier(distillation=Distillation(2), **FAST).fit(*iris)


def test_details_that_an_estimator_cannot_use_are_refused(iris):
    X, y = iris
    taught = {"teacher": Ridge(), **FAST}
    with pytest.raises(ValueError, match="a regressor has none: got temperature=4"):
        ScaledMLPRegressor(distillation=Distillation(temperature=4), **taught).fit(X, y)
    images = load_digits(return_X_y=True)[0][:60].reshape(-1, 8, 8)
    network = ScaledCNNClassifier(
        teacher=LogisticRegression(), distillation=Distillation(n_synthetic=5), **FAST
    )
    with pytest.raises(ValueError, match="Synthetic rows mix the columns of tables"):
        network.fit(images, np.arange(60) % 2)


def test_prune_keeps_the_form(iris):
    plain = ScaledMLPClassifier(**FAST).fit(*iris)
    assert prune(plain, *iris, amount=0.5).pruning == 0.5
    detailed = ScaledMLPClassifier(pruning=Pruning(0.0, round_to=2, **SHORT), **FAST).fit(*iris)
    assert prune(detailed, *iris, amount=0.5).pruning == Pruning(0.5, round_to=2, **SHORT)
    assert detailed.pruning.amount == 0


def test_pickles_copies_and_html(iris):
    network = ScaledMLPClassifier(pruning=Pruning(0.5, **SHORT), **FAST).fit(*iris)
    loaded = pickle.loads(pickle.dumps(network))
    assert loaded.pruning == network.pruning
    np.testing.assert_array_equal(loaded.predict(iris[0]), network.predict(iris[0]))
    copied = clone(network)
    assert copied.pruning == network.pruning
    assert copied.pruning is not network.pruning
    html = make_pipeline(StandardScaler(), network)._repr_html_()
    assert re.search(r"Pruning\(finet.*=1, n_steps=1\)", html)


def test_equal_groups_find_the_same_checkpoints(iris, tmp_path):
    network = ScaledMLPClassifier(pruning=Pruning(0.5, **SHORT), memory=tmp_path, **FAST)
    first = network.fit(*iris)
    again = clone(network).fit(*iris)
    assert again.fit_time_ == first.fit_time_  # found in memory
    other = clone(network).set_params(pruning__round_to=8).fit(*iris)
    assert other.complexity_ != first.complexity_


class Routed(ClassifierMixin, BaseEstimator):
    """A teacher that takes sample weights."""

    def fit(self, X, y, sample_weight=None):
        assert sample_weight is not None
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


@pytest.mark.parametrize("distillation", [0.5, Distillation(cv=2)], ids=str)
def test_sample_weights_reach_the_teacher_in_either_form(iris, distillation):
    network = ScaledMLPClassifier(
        teacher=Routed(), distillation=distillation, early_stopping=False, **FAST
    )
    network.fit(*iris, sample_weight=np.linspace(1, 2, len(iris[0])))
    assert network.n_iter_ == 2


NESTED = ["loss__gamma", "activation__beta", "teacher__depth", "memory__x"]


@pytest.mark.parametrize("name", NESTED)
def test_a_nested_name_on_a_value_without_parameters_is_an_error_with_the_remedy(name):
    prefix = name.partition("__")[0]
    network = ScaledMLPClassifier()
    with pytest.raises(ValueError, match=rf"{name} is a parameter of an object.*Set {prefix}"):
        network.set_params(**{name: 1})
    assert network.get_params() == ScaledMLPClassifier().get_params()
