"""Long work shows progress: scikit-learn's callbacks, and verbose."""

import pickle
import re

import numpy as np
import pytest
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscale import ScaledMLPClassifier


class Recorder:
    """Record which hooks are called, from the outermost estimator inwards."""

    max_propagation_depth = None

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None, X=None):
        self.calls.append(f"end {context.task_name}")
        if context.task_name == "epoch" and fitted_estimator is not None:
            # As a checkpoint would keep it.
            self.predicted = pickle.loads(pickle.dumps(fitted_estimator)).predict(X)
            self.n_epochs = context.task_id + 1
            return self.n_epochs == self.stop_at
        return False


def test_callbacks_see_each_epoch_and_the_network_as_it_stands(Estimator, small):
    recorder = Recorder()
    fitted = Estimator(max_epochs=3, random_state=0, early_stopping=False)
    fitted.set_callbacks(recorder).fit(*small)
    epochs = ["begin epoch", "end epoch"] * 3
    assert recorder.calls == ["setup", "begin fit", *epochs, "end fit", "teardown"]
    np.testing.assert_array_equal(recorder.predicted, fitted.predict(small[0]))


def test_a_callback_can_end_the_training(Estimator, small):
    fitted = Estimator(max_epochs=50, random_state=0, early_stopping=False)
    fitted.set_callbacks(Recorder(stop_at=4)).fit(*small)
    assert fitted.n_iter_ == 4


def test_watching_changes_nothing(Estimator, small, capsys):
    plain = Estimator(max_epochs=3, random_state=0).fit(*small)
    watched = Estimator(max_epochs=3, random_state=0, verbose=1).set_callbacks(Recorder())
    watched.fit(*small)
    np.testing.assert_array_equal(plain.coefs_[0], watched.coefs_[0])


def test_callbacks_are_torn_down_after_a_failed_fit(Estimator, small):
    recorder = Recorder()
    failing = Estimator(learning_rate=1e30, random_state=0).set_callbacks(recorder)
    with pytest.raises(ValueError, match="diverged"):
        failing.fit(*small)
    assert recorder.calls[-1] == "teardown"
    assert not hasattr(failing, "_callback_fit_ctx")


def test_a_progress_bar_on_a_search_shows_epochs_inside_candidates_inside_the_pipeline(
    digits, capsys
):
    X, y = digits[0][:200], digits[1][:200]
    network = ScaledMLPClassifier(max_epochs=2, random_state=0, early_stopping=False)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), network), {"scaledmlpclassifier__width": [4, 8]}, cv=2
    )
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "Pipeline" in shown
    assert shown.count("ScaledMLPClassifier") >= 5  # four candidate fits and the refit
    assert "100%" in shown


def test_a_scoring_monitor_follows_the_epochs(digits):
    X, y = digits[0][:300], digits[1][:300]
    monitor = ScoringMonitor(scoring="accuracy")
    fitted = ScaledMLPClassifier(max_epochs=5, random_state=0, early_stopping=False)
    fitted.set_callbacks(monitor).fit(X, y)
    entries = monitor.get_logs().data
    by_epoch = [entry["accuracy"] for entry in entries if entry["task_name"] == "epoch"]
    (final,) = [entry["accuracy"] for entry in entries if entry["task_name"] == "fit"]
    assert len(by_epoch) == 5
    assert by_epoch[0] < by_epoch[-1] == final == fitted.score(X, y)


def test_verbose_prints_a_line_an_epoch(Estimator, small, capsys):
    Estimator(max_epochs=2, random_state=0, verbose=1).fit(*small)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        Estimator.__name__
        + r": epoch 2/2, train loss [\d.]+, validation score -[\d.]+, \d+\.\d\d s",
        lines[1],
    )
    Estimator(max_epochs=1, random_state=0, verbose=1, early_stopping=False).fit(*small)
    assert "validation" not in capsys.readouterr().out
    Estimator(max_epochs=1, random_state=0).fit(*small)
    assert capsys.readouterr().out == ""
