"""What the tests share: small data, the estimators as scikit-learn's checks want, cores."""

import contextlib
import os
import pathlib

if "PYTEST_XDIST_WORKER" in os.environ:  # before NumPy and torch read it
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from skscale import ScaledMLPClassifier, ScaledMLPRegressor
from skscale.training.threads import limit_threads

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

ESTIMATORS = [ScaledMLPClassifier, ScaledMLPRegressor]


def pytest_xdist_auto_num_workers(config):
    """Two workers, and none where slow or GPU tests run or output is shown."""
    is_default = "not slow" in config.option.markexpr
    return 2 if is_default and config.option.capture != "no" else 0


def pytest_collection_modifyitems(items):
    """Put the tests that must be alone last, when the workers wait for nothing else."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    with _turn(item.config, is_alone=item.get_closest_marker("alone") is not None):
        return (yield)


@contextlib.contextmanager
def _turn(config, is_alone):
    """Wait until a test may run: beside those of the other workers, or beside none.

    A group of pytest-xdist would not do. Other tests run beside it, and with pytest 9.2 its
    version 3.8 forms none (https://github.com/pytest-dev/pytest-xdist/issues/1386).
    """
    if fcntl is None or not hasattr(config, "workerinput"):
        yield
        return
    folder = pathlib.Path(config.option.basetemp).parent  # which the workers share
    with open(folder / "door", "w") as door, open(folder / "room", "w") as room:
        fcntl.flock(door, fcntl.LOCK_EX)  # behind it one waits for an empty room, not for ever
        fcntl.flock(room, fcntl.LOCK_EX if is_alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # also for a child that was forked meanwhile


@pytest.fixture(params=ESTIMATORS, ids=lambda cls: cls.__name__)
def Estimator(request):
    return request.param


@pytest.fixture(scope="session")
def digits():
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32), y


@pytest.fixture(scope="session")
def diabetes():
    return load_diabetes(return_X_y=True)


@pytest.fixture
def small(Estimator, digits, diabetes):
    """Two hundred rows of what the estimator is for."""
    X, y = digits if Estimator is ScaledMLPClassifier else diabetes
    return X[:200], y[:200]


@pytest.fixture
def two_threads():
    """Torch's threads of two cores, in a worker too: as many stacks train at once."""
    with limit_threads(2):
        yield
