"""Two thousand fits of all kinds in one process: nothing is left behind."""

import gc
import multiprocessing
import os
import pickle
import threading
import warnings
from itertools import count

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier
from skorch.callbacks import EpochScoring

from skscale import (
    Distillation,
    GradualScaleSearchCV,
    Pruning,
    ScaledCNNClassifier,
    ScaledMLPClassifier,
    ScaledMLPRegressor,
    ScaledNetworkRegressor,
    freeze,
)
from skscale.fusion.free_memory import release_free, resident_bytes
from tests.test_network import Dense

pytestmark = pytest.mark.slow

N_FITS, N_WARM_UP = 2_000, 200


class Soak:
    """A round of fits on data of its own, and of shapes that come again every tenth round."""

    def __init__(self):
        self.n_fits = 0

    def fit(self, estimator, X, y, n_fits=1, **options):
        estimator.fit(X, y, **options)
        assert len(estimator.predict(X)) == len(y)
        self.n_fits += n_fits
        return estimator

    def fail(self, estimator, X, y, message):
        with pytest.raises(ValueError, match=message):
            estimator.fit(X, y)
        self.n_fits += 1

    def round(self, k):
        rng = np.random.default_rng(k)
        n, width = 60 + k % 10, 4 + k % 10
        X = rng.standard_normal((n, 6))
        y, numbers = np.arange(n) % 3, X @ rng.standard_normal(6)
        fast = {"width": width, "max_epochs": 2, "random_state": k}
        classifier = self.fit(ScaledMLPClassifier(**fast), X, y)
        pickle.loads(pickle.dumps(classifier)).predict(X)
        freeze(classifier).predict(X)
        self.fit(ScaledMLPRegressor(loss="huber", **fast), sp.csr_array(X * (X > 0)), numbers)
        frame = pd.DataFrame(X).add_prefix("x").assign(word=np.array(["a", "b", "c"])[y])
        self.fit(ScaledMLPRegressor(resolution=3, n_estimators=2, **fast), frame, numbers)
        self.fit(ScaledMLPClassifier(pruning=Pruning(0.5, finetune_epochs=1), **fast), X, y)
        tree = DecisionTreeClassifier(max_depth=2, random_state=0)
        self.fit(
            ScaledMLPClassifier(
                teacher=tree, distillation=Distillation(cv=2, n_synthetic=9), **fast
            ),
            X,
            y,
        )
        images = rng.integers(0, 256, (40, 6, 6, 1)).astype(np.uint8)
        self.fit(ScaledCNNClassifier(augmentation="shift", **fast), images, y[:40])
        self.fit(ScaledNetworkRegressor(Dense, dropout=0.1, **fast), X, numbers)
        scoring = EpochScoring("accuracy", lower_is_better=False, name="accuracy")
        self.fit(ScaledMLPClassifier(callbacks=[scoring], **fast), X, y)
        with joblib.parallel_config(backend="skscale"):
            grid = GridSearchCV(ScaledMLPClassifier(**fast), {"dropout": [0, 0.1]}, cv=2)
            self.fit(grid, X, y, n_fits=5)
        search = GradualScaleSearchCV(ScaledMLPClassifier(**fast), {"width": [2, 4]}, cv=2)
        self.fit(search, X, y, n_fits=5)
        warm = self.fit(ScaledMLPClassifier(warm_start=True, **fast), X, y)
        self.fit(warm.set_params(width=width + 4), X, y)
        stream = ScaledMLPRegressor(**fast)
        for part in (slice(None, 30), slice(30, None)):
            stream.partial_fit(X[part], numbers[part])
        self.n_fits += 1
        self.fail(ScaledMLPClassifier(**fast), np.where(X > 2, np.inf, X), y, "infinity")
        fast["learning_rate"] = 1e30
        self.fail(ScaledMLPRegressor(preprocessing=None, **fast), X, numbers, "diverged")
        self.fail(GridSearchCV(ScaledMLPClassifier(**fast), {}, cv=2), X[:3], y[:3], "n_splits")


def held():
    """Return what the process holds: bytes, objects, threads, open files, children."""
    gc.collect()
    release_free()
    return (
        resident_bytes(),
        len(gc.get_objects()),
        threading.active_count(),
        len(os.listdir("/proc/self/task")),
        len(os.listdir("/proc/self/fd")),
        len(multiprocessing.active_children()),
    )


def growth(values):
    """Return by what share values grew from their first to their last quarter.

    Medians of quarters, which a few odd values do not move.
    """
    quarter = len(values) // 4
    first, last = np.median(values[:quarter]), np.median(values[-quarter:])
    return last / first - 1


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts by Linux's /proc")
def test_two_thousand_fits_leave_nothing_behind():
    soak, seen = Soak(), []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The student does not gain")
        for k in count():
            soak.round(k)
            if soak.n_fits >= N_WARM_UP:
                seen.append(held())
            if soak.n_fits >= N_FITS:
                break
    resident, objects, *counts = np.array(seen).T
    assert len(resident) > 50
    print(
        f"{soak.n_fits} fits: {resident[0] / 1e6:.1f} MB after {N_WARM_UP}, "
        f"{resident[-1] / 1e6:.1f} MB at the end; growth of memory {growth(resident):.2%}, of "
        f"objects {growth(objects):.2%}; {[c.tolist()[::20] for c in counts]}"
    )
    assert growth(resident) < 0.05
    assert growth(objects) < 0.02
    for of_kind in counts:  # threads of Python, all threads, files, children
        quarter = len(of_kind) // 4
        assert np.median(of_kind[-quarter:]) <= np.median(of_kind[:quarter])
