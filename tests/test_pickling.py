"""Pickles: small, without torch, without what a served estimator does not need."""

import copy
import io
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
from skorch.callbacks import Callback

import skscale
from skscale import InconsistentVersionWarning, ScaledMLPClassifier, ScaledMLPRegressor
from tests.conftest import ESTIMATORS


class Note(Callback):
    """A callback of the user's own."""

    def __init__(self, text=""):
        self.text = text


@pytest.mark.parametrize("width", [4, 256])
@pytest.mark.parametrize("max_epochs", [3, 100])
def test_a_pickle_is_as_large_as_its_weights(Estimator, small, width, max_epochs):
    X, y = small
    fitted = Estimator(
        width=width, max_epochs=max_epochs, random_state=0, n_iter_no_change=max_epochs,
        callbacks=None, resolution=0,
    ).fit(X, y)  # fmt: skip
    assert fitted.n_iter_ == max_epochs
    size = len(pickle.dumps(fitted))
    assert size <= 1.2 * 4 * fitted.complexity_.n_parameters + 20_000
    assert size <= 4 * fitted.complexity_.n_parameters + 6_500 + 20 * max_epochs


def test_an_unpickled_estimator_predicts_the_same_and_has_its_history(Estimator, small):
    X, y = small
    fitted = Estimator(random_state=0, max_epochs=4, verbose=0).fit(X, y)
    for again in (
        pickle.loads(pickle.dumps(fitted)),
        copy.deepcopy(fitted),
        _through_joblib(fitted),
    ):
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(again.loss_curve_, fitted.loss_curve_)
        assert again.get_params() == fitted.get_params()
        assert again.complexity_ == fitted.complexity_


def _through_joblib(fitted):
    buffer = io.BytesIO()
    joblib.dump(fitted, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


class _PlainUnpickler(pickle.Unpickler):
    """Refuses all but NumPy, skscale's own classes and plain Python."""

    def find_class(self, module, name):
        assert module.split(".")[0] in ("numpy", "skscale", "copyreg", "builtins"), module
        return super().find_class(module, name)


def test_a_pickle_holds_arrays_and_plain_values_and_no_row(Estimator, small):
    X, y = small
    X = X + np.float32(0.12345)
    fitted = Estimator(
        random_state=0, max_epochs=2, width=8, callbacks=[Note("a text of mine")]
    ).fit(X, y)
    data = pickle.dumps(fitted)
    again = _PlainUnpickler(io.BytesIO(data)).load()
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert b"a text of mine" not in data
    for row in (0, 57, 199):
        assert X[row, :4].tobytes() not in data
        assert X[row, :4].astype(np.float32).tobytes() not in data
    held = vars(fitted).keys() - fitted.get_params().keys()
    assert not [name for name in held if "net" in name or "optim" in name]


def test_callbacks_are_left_out_of_a_fitted_pickle_and_asked_for_again(digits):
    fitted = ScaledMLPClassifier(max_epochs=1, random_state=0, callbacks=[Note("x")]).fit(
        *digits
    )
    again = pickle.loads(pickle.dumps(fitted))
    assert repr(again.callbacks) == "CallbacksLeftOut(['Note'])"
    with pytest.raises(ValueError, match=r"fitted with callbacks \(Note\).*Pass them again"):
        again.fit(*digits)
    again.set_params(callbacks=None).fit(*digits)
    twice = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(fitted))))
    assert twice.callbacks == pickle.loads(pickle.dumps(fitted)).callbacks
    unfitted = pickle.loads(pickle.dumps(ScaledMLPClassifier(callbacks=[Note("x")])))
    assert unfitted.callbacks[0].text == "x"


def test_a_pickle_of_another_version_warns(Estimator, small, monkeypatch):
    from skscale.estimators import base

    fitted = Estimator(max_epochs=1, random_state=0).fit(*small)
    with monkeypatch.context() as patch:
        patch.setattr(base, "__version__", "0.0.1")
        data = pickle.dumps(fitted)
    with pytest.warns(InconsistentVersionWarning, match=r"from skscale 0\.0\.1 with skscale"):
        again = pickle.loads(data)
    np.testing.assert_array_equal(again.predict(small[0]), fitted.predict(small[0]))


_WITHOUT_TORCH = """
import pickle, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "skorch"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
import numpy as np
import skscale
for model, X, expected in pickle.load(sys.stdin.buffer):
    assert np.array_equal(model.predict(X), expected)
    for name in ("predict_proba", "predict_log_proba", "decision_function"):
        if hasattr(model, name):
            assert np.isfinite(getattr(model, name)(X)).all()
    assert skscale.complexity(model).n_parameters > 0
    assert len(model.loss_curve_) == model.n_iter_
    repr(model), model._repr_html_()
    try:
        model.fit(X, expected)
    except ImportError as error:
        assert "Fitting needs torch and skorch" in str(error)
    else:
        raise AssertionError("fit without torch")
assert "torch" not in sys.modules and "skorch" not in sys.modules
print("served", skscale.ScaledMLPClassifier().width)
"""


def test_unpickling_and_predicting_need_no_torch(digits, diabetes):
    served = []
    for Estimator, (X, y) in zip(ESTIMATORS, (digits, diabetes), strict=True):
        for kinds in ({}, {"activation": "mish"}, {"depth": 0}):
            fitted = Estimator(max_epochs=2, random_state=0, dropout=0.1, **kinds).fit(X, y)
            served.append((fitted, X[:50], fitted.predict(X[:50])))
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH],
        input=pickle.dumps(served),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == "served 128"


def test_showing_a_fitted_estimator_builds_no_net(digits, monkeypatch):
    from skscale.training import skorch_surface

    fitted = ScaledMLPClassifier(max_epochs=1, random_state=0).fit(*digits)
    monkeypatch.setattr(skorch_surface, "make_fitted_net", None)
    assert "coefs_" in dir(fitted)
    assert "ScaledMLPClassifier" in fitted._repr_html_()


def test_importing_skscale_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys, skscale\n"
        "print([m for m in ('torch', 'skorch', 'sklearn', 'scipy', 'numpy', 'joblib') "
        "if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert out.stdout.strip() == "[]"


def test_unknown_names_of_the_package_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'ScaledMLP'"):
        skscale.ScaledMLP  # noqa: B018
    assert set(skscale.__all__) == set(dir(skscale))
    assert all(getattr(skscale, name) is not None for name in skscale.__all__)


def test_a_column_fitted_regressor_keeps_its_shape_through_a_pickle(diabetes):
    X, y = diabetes
    fitted = ScaledMLPRegressor(max_epochs=1, random_state=0).fit(X, np.column_stack([y, y]))
    assert pickle.loads(pickle.dumps(fitted)).predict(X).shape == (len(X), 2)
