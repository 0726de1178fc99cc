"""Diagnosis on data of which it is known what ails the network."""

import numpy as np
import pytest
from sklearn.datasets import make_classification, make_regression
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier, ScaledMLPRegressor, diagnose

# What each case calls for.
KINDS = {"too small": "up", "too large": "down", "label noise": "down", "too few rows": "down"}


def draw_case(kind, rng):
    """Return a network and data of which it is known what ails it."""
    n_features = int(rng.integers(6, 16))

    def rows(low, high):
        return rng.standard_normal((int(rng.integers(low, high)), n_features))

    def side_of_a_plane(X, noise):
        normal = rng.standard_normal(n_features)
        return (X @ normal / np.sqrt(n_features) + noise * rng.standard_normal(len(X)) > 0) * 1

    width = int(rng.integers(128, 300))
    depth = int(rng.integers(1, 4))
    if kind == "too small":  # a ball, for as many units as it has dimensions or fewer
        X = rows(1500, 3000)
        n_inside = int(rng.integers(2, 5))
        radius = (X[:, :n_inside] ** 2).sum(axis=1)
        y = (radius > np.median(radius)).astype(int)
        depth, width = 1, int(rng.integers(1, n_inside + 1))
    elif kind == "too large":
        X = rows(400, 1000)
        y = side_of_a_plane(X, 0.3)
    elif kind == "label noise":
        X = rows(600, 1500)
        y = side_of_a_plane(X, 0.0)
        y = np.where(rng.random(len(X)) < rng.uniform(0.2, 0.4), 1 - y, y)
    else:
        X = rows(50, 150)
        y = side_of_a_plane(X, 0.5)
    return ScaledMLPClassifier(depth=depth, width=width, max_epochs=60), X, y


@pytest.mark.slow
def test_the_right_side_is_found_in_nine_of_ten_cases_drawn_now():
    seed = np.random.SeedSequence().entropy % 2**32
    rng = np.random.default_rng(seed)
    wrong = []
    for i in range(50):
        kind = list(KINDS)[i % 4]
        found = diagnose(*draw_case(kind, rng), random_state=int(rng.integers(1000)))
        if found.direction != KINDS[kind]:
            wrong.append(f"{kind}: {found}")
    assert len(wrong) <= 5, f"seed {seed}:\n" + "\n\n".join(wrong)


@pytest.mark.parametrize("kind", ["too small", "too large"])
def test_a_plain_case_is_told_with_its_evidence(kind):
    network, X, y = draw_case(kind, np.random.default_rng(0))
    found = diagnose(network, X, y, cv={"too small": 5, "too large": 3}[kind])
    assert found.direction == KINDS[kind]
    assert found.dimension in ("width", "depth")
    names = [trial.name for trial in found.trials]
    assert names == ["unchanged", "smaller", "wider", "deeper", "regularized", "half the rows"]
    now, smaller, wider, deeper, _, half = found.trials
    assert now.difference == now.standard_error == 0
    assert half.n_parameters == now.n_parameters
    assert (
        smaller.n_parameters <= now.n_parameters < min(wider.n_parameters, deeper.n_parameters)
    )
    text = str(found)
    assert text.startswith(f"{found.state}: ")
    for trial in found.trials:
        assert f"{trial.score:.4f}" in text
    if kind == "too small":
        assert f"a wider network scores {wider.difference:.4f} more" in found.advice
        assert "Scale the width up" in found.advice
    else:
        assert "Scale the width down" in found.advice


def test_the_scores_are_those_of_cross_validation():
    from sklearn.model_selection import cross_validate

    X, y = make_classification(300, random_state=0)
    network = ScaledMLPClassifier(
        depth=1, width=8, max_epochs=5, precision="float64", random_state=0
    )
    found = diagnose(network, X, y, cv=3)
    expected = cross_validate(network, X, y, cv=3, return_train_score=True)
    assert found.trials[0].score == pytest.approx(expected["test_score"].mean())
    assert found.trials[0].train_score == pytest.approx(expected["train_score"].mean())
    wider = network.set_params(width=32)
    scores = cross_validate(wider, X, y, cv=3)["test_score"]
    difference = scores - expected["test_score"]
    assert found.trials[2].difference == pytest.approx(difference.mean())
    assert found.trials[2].standard_error == pytest.approx(difference.std(ddof=1) / 3**0.5)


def test_pipelines_regressors_scorings_and_all_ways_to_say_a_scale():
    X, y = make_regression(200, 5, noise=1, random_state=0)
    model = make_pipeline(StandardScaler(), ScaledMLPRegressor(max_epochs=3))
    before = repr(model)
    found = diagnose(model, X, y, scoring="neg_mean_absolute_error", cv=3)
    assert found.trials[0].score < 0
    assert repr(model) == before
    assert not hasattr(model[-1], "coefs_")
    linear = diagnose(ScaledMLPRegressor(depth=0, max_epochs=3), X, y, cv=3)
    assert [trial.name for trial in linear.trials] == [
        "unchanged", "deeper", "regularized", "half the rows",
    ]  # fmt: skip
    tuples = diagnose(ScaledMLPRegressor(None, (8, 4), max_epochs=3), X, y, cv=3)
    assert [trial.params for trial in tuples.trials[1:4]] == [
        {"width": (2, 1)}, {"width": (32, 32)}, {"width": (8, 4, 4)},
    ]  # fmt: skip
    one = diagnose(ScaledMLPRegressor(1, 1, max_epochs=3), X, y, cv=3)
    assert one.trials[1].params == {"depth": 0, "width": 1}


def test_estimators_without_a_network_are_refused():
    with pytest.raises(TypeError, match="Expected an estimator of skscale"):
        diagnose(LogisticRegression(), X=np.zeros((4, 1)), y=[0, 1, 0, 1])
