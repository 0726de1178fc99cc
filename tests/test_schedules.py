"""Learning-rate schedules: their shape, stacks of different ones, and one of a user's own."""

import pickle
from math import cos, log2, pi

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV

from skscale import LRSchedule, ScaledMLPClassifier
from skscale.fusion import last_fused_run
from skscale.training.schedules import SCHEDULES

FAST = {"width": 8, "max_epochs": 4, "random_state": 0, "precision": "float64"}


class Linear(LRSchedule):
    def __init__(self, end=0.0):
        self.end = end

    def factor(self, progress):
        return 1 - (1 - self.end) * progress


class OwnCosine(LRSchedule):
    def factor(self, progress):
        return (1 + np.cos(np.pi * progress)) / 2


@pytest.mark.parametrize("t", [0.0, 0.1, 1 / 3, 0.99])
def test_the_built_in_factors_are_those_of_the_papers(t):
    expected = {
        "constant": 1.0,
        "cosine": (1 + cos(pi * t)) / 2,
        "coslog4": (1 - cos(2 * pi * log2(1 + 15 * t))) / 2,
    }
    for name, schedule in SCHEDULES.items():
        assert schedule.factor(np.array(t)) == pytest.approx(expected[name], abs=1e-12)


def test_members_of_a_stack_keep_their_own_schedule():
    # Cosine and coslog4 of one length once shared the learning rates of the first.
    X, y = load_iris(return_X_y=True)
    grid = {"lr_schedule": ["cosine", "coslog4", "constant", Linear(), Linear(0.5)]}
    network = ScaledMLPClassifier(early_stopping=False, **FAST)
    scores = {}
    for backend in ("sequential", "skscale"):
        with joblib.parallel_config(backend=backend):
            search = GridSearchCV(
                network, grid, cv=3, scoring="neg_log_loss", refit=False, error_score="raise"
            ).fit(X, y)
        scores[backend] = search.cv_results_["mean_test_score"]
    assert max(last_fused_run().stack_sizes) > 3
    assert len(np.unique(scores["sequential"].round(6))) == 5
    np.testing.assert_allclose(scores["skscale"], scores["sequential"], rtol=1e-9)


def test_one_of_a_users_own_trains_as_the_built_in_one():
    X, y = load_iris(return_X_y=True)
    own = ScaledMLPClassifier(lr_schedule=OwnCosine(), **FAST).fit(X, y)
    built_in = ScaledMLPClassifier(lr_schedule="cosine", **FAST).fit(X, y)
    np.testing.assert_allclose(own.predict_proba(X), built_in.predict_proba(X), rtol=1e-9)
    loaded = pickle.loads(pickle.dumps(own))
    assert loaded.lr_schedule == clone(own).lr_schedule == OwnCosine()
    assert Linear() != Linear(0.5)
    assert repr(Linear(0.5)) == "Linear(end=0.5)"


def test_checkpoints_tell_schedules_apart(tmp_path):
    X, y = load_iris(return_X_y=True)
    network = ScaledMLPClassifier(memory=tmp_path, **FAST)
    fitted = {
        end: clone(network).set_params(lr_schedule=Linear(end)).fit(X, y) for end in (0.0, 0.5)
    }
    assert not np.allclose(fitted[0.0].coefs_[0], fitted[0.5].coefs_[0])
    again = clone(network).set_params(lr_schedule=Linear(0.5)).fit(X, y)
    assert again.fit_time_ == fitted[0.5].fit_time_


def test_other_values_are_refused_by_name():
    X, y = load_iris(return_X_y=True)
    for value in ("steps", 3, Linear):
        with pytest.raises(ValueError, match="'lr_schedule' parameter of ScaledMLPClassifier"):
            ScaledMLPClassifier(lr_schedule=value, **FAST).fit(X, y)
