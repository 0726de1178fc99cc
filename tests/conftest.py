"""What the tests share: small data, and the estimators as scikit-learn's checks want them."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits

from skscale import ScaledMLPClassifier, ScaledMLPRegressor

ESTIMATORS = [ScaledMLPClassifier, ScaledMLPRegressor]


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
